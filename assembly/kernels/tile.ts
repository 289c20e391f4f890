import { fma, TILE_ROWS } from "../lanes";

/**
 * c[TILE_ROWS][8] = a[rows, k] · b[k][8]: the inner kernel of matmul and of attention's scores.
 *
 * One chain of multiply-adds an output, over k from first to last: a result depends neither on the tile nor on its neighbours.
 * Rows past `rows` repeat the last row, so nothing outside `a` is read; callers ignore what they give.
 * c and b 16-byte aligned; a, with row stride `lda` bytes, at any float.
 */
export function tile(c: usize, a: usize, lda: usize, rows: i32, b: usize, k: i32): void {
  const a1 = rows > 1 ? a + lda : a;
  const a2 = rows > 2 ? a1 + lda : a1;
  const a3 = rows > 3 ? a2 + lda : a2;
  // Rows of the larger tile; the condition is known to the compiler.
  const a4 = TILE_ROWS == 6 && rows > 4 ? a3 + lda : a3;
  const a5 = TILE_ROWS == 6 && rows > 5 ? a4 + lda : a4;
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
  let c40 = c00, c41 = c00, c50 = c00, c51 = c00;
  for (let at: usize = 0, end = <usize>k << 2; at < end; at += 4, b += 32) {
    const b0 = v128.load(b), b1 = v128.load(b, 16);
    let s = v128.load32_splat(a + at);
    c00 = fma(s, b0, c00); c01 = fma(s, b1, c01);
    s = v128.load32_splat(a1 + at);
    c10 = fma(s, b0, c10); c11 = fma(s, b1, c11);
    s = v128.load32_splat(a2 + at);
    c20 = fma(s, b0, c20); c21 = fma(s, b1, c21);
    s = v128.load32_splat(a3 + at);
    c30 = fma(s, b0, c30); c31 = fma(s, b1, c31);
    if (TILE_ROWS == 6) {
      s = v128.load32_splat(a4 + at);
      c40 = fma(s, b0, c40); c41 = fma(s, b1, c41);
      s = v128.load32_splat(a5 + at);
      c50 = fma(s, b0, c50); c51 = fma(s, b1, c51);
    }
  }
  v128.store(c, c00); v128.store(c, c01, 16);
  v128.store(c, c10, 32); v128.store(c, c11, 48);
  v128.store(c, c20, 64); v128.store(c, c21, 80);
  v128.store(c, c30, 96); v128.store(c, c31, 112);
  if (TILE_ROWS == 6) {
    v128.store(c, c40, 128); v128.store(c, c41, 144);
    v128.store(c, c50, 160); v128.store(c, c51, 176);
  }
}
