import { fma, TILE_ROWS } from "../lanes";

/**
 * c[TILE_ROWS][8] = a[rows, k] · b[k][8]: the inner kernel of attention's scores, with rows where they are.
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
  store_tile(c, c00, c01, c10, c11, c20, c21, c30, c31, c40, c41, c50, c51);
}

/**
 * Rows of a as `packed_tile` reads them: out[k][TILE_ROWS], by transposes of four columns. Rows past `rows` repeat the last row. Whole
 * vectors are read and written: up to 12 bytes behind a row, and up to 3 · TILE_ROWS floats behind out, which the next tile overwrites.
 */
export function pack_tile(out: usize, a: usize, lda: usize, rows: i32, k: i32): void {
  const a1 = rows > 1 ? a + lda : a;
  const a2 = rows > 2 ? a1 + lda : a1;
  const a3 = rows > 3 ? a2 + lda : a2;
  const a4 = TILE_ROWS == 6 && rows > 4 ? a3 + lda : a3;
  const a5 = TILE_ROWS == 6 && rows > 5 ? a4 + lda : a4;
  for (let at: usize = 0, end = <usize>k << 2; at < end; at += 16, out += <usize>TILE_ROWS << 4) {
    const r0 = v128.load(a + at), r1 = v128.load(a1 + at), r2 = v128.load(a2 + at), r3 = v128.load(a3 + at);
    const low01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5), high01 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
    const low23 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5), high23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
    if (TILE_ROWS == 6) {
      const r4 = v128.load(a4 + at), r5 = v128.load(a5 + at);
      const low45 = v128.shuffle<f32>(r4, r5, 0, 4, 1, 5), high45 = v128.shuffle<f32>(r4, r5, 2, 6, 3, 7);
      v128.store(out, v128.shuffle<f32>(low01, low23, 0, 1, 4, 5));
      v128.store(out, v128.shuffle<f32>(low45, low01, 0, 1, 6, 7), 16);
      v128.store(out, v128.shuffle<f32>(low23, low45, 2, 3, 6, 7), 32);
      v128.store(out, v128.shuffle<f32>(high01, high23, 0, 1, 4, 5), 48);
      v128.store(out, v128.shuffle<f32>(high45, high01, 0, 1, 6, 7), 64);
      v128.store(out, v128.shuffle<f32>(high23, high45, 2, 3, 6, 7), 80);
    } else {
      v128.store(out, v128.shuffle<f32>(low01, low23, 0, 1, 4, 5));
      v128.store(out, v128.shuffle<f32>(low01, low23, 2, 3, 6, 7), 16);
      v128.store(out, v128.shuffle<f32>(high01, high23, 0, 1, 4, 5), 32);
      v128.store(out, v128.shuffle<f32>(high01, high23, 2, 3, 6, 7), 48);
    }
  }
}

/** `tile` over rows that pack_tile has packed: c[TILE_ROWS][8] = aᵀ[k, TILE_ROWS] · b[k][8], the same chains of sums. */
export function packed_tile(c: usize, a: usize, b: usize, k: i32): void {
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
  let c40 = c00, c41 = c00, c50 = c00, c51 = c00;
  for (const end = a + (<usize>(k * TILE_ROWS) << 2); a < end; a += <usize>TILE_ROWS << 2, b += 32) {
    const b0 = v128.load(b), b1 = v128.load(b, 16);
    let s = v128.load32_splat(a);
    c00 = fma(s, b0, c00); c01 = fma(s, b1, c01);
    s = v128.load32_splat(a, 4);
    c10 = fma(s, b0, c10); c11 = fma(s, b1, c11);
    s = v128.load32_splat(a, 8);
    c20 = fma(s, b0, c20); c21 = fma(s, b1, c21);
    s = v128.load32_splat(a, 12);
    c30 = fma(s, b0, c30); c31 = fma(s, b1, c31);
    if (TILE_ROWS == 6) {
      s = v128.load32_splat(a, 16);
      c40 = fma(s, b0, c40); c41 = fma(s, b1, c41);
      s = v128.load32_splat(a, 20);
      c50 = fma(s, b0, c50); c51 = fma(s, b1, c51);
    }
  }
  store_tile(c, c00, c01, c10, c11, c20, c21, c30, c31, c40, c41, c50, c51);
}

// @ts-ignore: decorator
@inline function store_tile(
  c: usize, c00: v128, c01: v128, c10: v128, c11: v128, c20: v128, c21: v128, c30: v128, c31: v128, c40: v128, c41: v128, c50: v128, c51: v128,
): void {
  v128.store(c, c00); v128.store(c, c01, 16);
  v128.store(c, c10, 32); v128.store(c, c11, 48);
  v128.store(c, c20, 64); v128.store(c, c21, 80);
  v128.store(c, c30, 96); v128.store(c, c31, 112);
  if (TILE_ROWS == 6) {
    v128.store(c, c40, 128); v128.store(c, c41, 144);
    v128.store(c, c50, 160); v128.store(c, c51, 176);
  }
}
