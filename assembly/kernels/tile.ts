import { fma, TILE_ROWS } from "../lanes";

/**
 * Rows of a in columns: out[k][width], by transposes of four columns; 1 ≤ rows ≤ width ≤ TILE_ROWS, and rows past the end repeat the last.
 * Whole vectors are read and written: up to 12 bytes behind a row, and up to 3 · width + 3 floats behind out (3 · TILE_ROWS where
 * width is TILE_ROWS), which the next tile overwrites.
 */
export function pack_strip(out: usize, a: usize, lda: usize, rows: i32, width: i32, k: i32): void {
  const a1 = rows > 1 ? a + lda : a;
  const a2 = rows > 2 ? a1 + lda : a1;
  const a3 = rows > 3 ? a2 + lda : a2;
  const a4 = TILE_ROWS == 6 && rows > 4 ? a3 + lda : a3;
  const a5 = TILE_ROWS == 6 && rows > 5 ? a4 + lda : a4;
  const step = <usize>width << 2, step2 = step * 2, step3 = step * 3;
  for (let at: usize = 0, end = <usize>k << 2; at < end; at += 16, out += step << 2) {
    // In this order, what a store writes behind its column is overwritten by a later one.
    if (TILE_ROWS == 6 && width > 4) {
      const r4 = v128.load(a4 + at), r5 = v128.load(a5 + at);
      const low45 = v128.shuffle<f32>(r4, r5, 0, 4, 1, 5), high45 = v128.shuffle<f32>(r4, r5, 2, 6, 3, 7);
      v128.store64_lane(out, low45, 0, 16);
      v128.store64_lane(out + step, low45, 1, 16);
      v128.store64_lane(out + step2, high45, 0, 16);
      v128.store64_lane(out + step3, high45, 1, 16);
    }
    const r0 = v128.load(a + at), r1 = v128.load(a1 + at), r2 = v128.load(a2 + at), r3 = v128.load(a3 + at);
    const low01 = v128.shuffle<f32>(r0, r1, 0, 4, 1, 5), high01 = v128.shuffle<f32>(r0, r1, 2, 6, 3, 7);
    const low23 = v128.shuffle<f32>(r2, r3, 0, 4, 1, 5), high23 = v128.shuffle<f32>(r2, r3, 2, 6, 3, 7);
    v128.store(out, v128.shuffle<f32>(low01, low23, 0, 1, 4, 5));
    v128.store(out + step, v128.shuffle<f32>(low01, low23, 2, 3, 6, 7));
    v128.store(out + step2, v128.shuffle<f32>(high01, high23, 0, 1, 4, 5));
    v128.store(out + step3, v128.shuffle<f32>(high01, high23, 2, 3, 6, 7));
  }
}

/** pack_strip for tiles of one size: out[k][TILE_ROWS]. */
export function pack_tile(out: usize, a: usize, lda: usize, rows: i32, k: i32): void {
  pack_strip(out, a, lda, rows, TILE_ROWS, k);
}

/** sums[R][8] = aᵀ[k, R] · b[k][8], the chains of `tile`; R is known to the compiler. */
// @ts-ignore: decorator
@inline function narrow(R: i32, sums: usize, a: usize, b: usize, k: i32): void {
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
  let c40 = c00, c41 = c00, c50 = c00, c51 = c00;
  for (const end = a + (<usize>(k * R) << 2); a < end; a += <usize>R << 2, b += 32) {
    const x = v128.load(b), y = v128.load(b, 16);
    let s = v128.load32_splat(a);
    c00 = fma(s, x, c00); c01 = fma(s, y, c01);
    if (R > 1) { s = v128.load32_splat(a, 4); c10 = fma(s, x, c10); c11 = fma(s, y, c11); }
    if (R > 2) { s = v128.load32_splat(a, 8); c20 = fma(s, x, c20); c21 = fma(s, y, c21); }
    if (R > 3) { s = v128.load32_splat(a, 12); c30 = fma(s, x, c30); c31 = fma(s, y, c31); }
    if (R > 4) { s = v128.load32_splat(a, 16); c40 = fma(s, x, c40); c41 = fma(s, y, c41); }
    if (R > 5) { s = v128.load32_splat(a, 20); c50 = fma(s, x, c50); c51 = fma(s, y, c51); }
  }
  v128.store(sums, c00); v128.store(sums, c01, 16);
  if (R > 1) { v128.store(sums, c10, 32); v128.store(sums, c11, 48); }
  if (R > 2) { v128.store(sums, c20, 64); v128.store(sums, c21, 80); }
  if (R > 3) { v128.store(sums, c30, 96); v128.store(sums, c31, 112); }
  if (R > 4) { v128.store(sums, c40, 128); v128.store(sums, c41, 144); }
  if (R > 5) { v128.store(sums, c50, 160); v128.store(sums, c51, 176); }
}

/**
 * `narrow` for one row and four panels or two rows and two panels, `apart` bytes from one to the next: a panel by itself has too few
 * chains to fill the pipeline. sums[panels][R][8].
 */
// @ts-ignore: decorator
@inline function broad(R: i32, sums: usize, a: usize, b: usize, apart: usize, k: i32): void {
  let c0 = f32x4.splat(0), c1 = c0, c2 = c0, c3 = c0, c4 = c0, c5 = c0, c6 = c0, c7 = c0;
  for (const end = a + (<usize>(k * R) << 2); a < end; a += <usize>R << 2, b += 32) {
    const s = v128.load32_splat(a), b1 = b + apart;
    if (R == 1) {
      const b2 = b1 + apart, b3 = b2 + apart;
      c0 = fma(s, v128.load(b), c0); c1 = fma(s, v128.load(b, 16), c1);
      c2 = fma(s, v128.load(b1), c2); c3 = fma(s, v128.load(b1, 16), c3);
      c4 = fma(s, v128.load(b2), c4); c5 = fma(s, v128.load(b2, 16), c5);
      c6 = fma(s, v128.load(b3), c6); c7 = fma(s, v128.load(b3, 16), c7);
    } else {
      const t = v128.load32_splat(a, 4);
      let x = v128.load(b), y = v128.load(b, 16);
      c0 = fma(s, x, c0); c1 = fma(s, y, c1); c2 = fma(t, x, c2); c3 = fma(t, y, c3);
      x = v128.load(b1); y = v128.load(b1, 16);
      c4 = fma(s, x, c4); c5 = fma(s, y, c5); c6 = fma(t, x, c6); c7 = fma(t, y, c7);
    }
  }
  v128.store(sums, c0); v128.store(sums, c1, 16); v128.store(sums, c2, 32); v128.store(sums, c3, 48);
  v128.store(sums, c4, 64); v128.store(sums, c5, 80); v128.store(sums, c6, 96); v128.store(sums, c7, 112);
}

/**
 * sums[panels][rows][8] = aᵀ[k, rows] · b[panels][k][8] for rows, at most TILE_ROWS, that pack_strip has packed; panels is 1, or 4 / rows
 * where rows is 1 or 2.
 */
export function packed_tile(rows: i32, panels: i32, sums: usize, a: usize, b: usize, apart: usize, k: i32): void {
  if (TILE_ROWS == 6 && rows == 6) narrow(6, sums, a, b, k);
  else if (TILE_ROWS == 6 && rows == 5) narrow(5, sums, a, b, k);
  else if (rows == 4) narrow(4, sums, a, b, k);
  else if (rows == 3) narrow(3, sums, a, b, k);
  else if (panels == 4) broad(1, sums, a, b, apart, k);
  else if (panels == 2) broad(2, sums, a, b, apart, k);
  else if (rows == 2) narrow(2, sums, a, b, k);
  else narrow(1, sums, a, b, k);
}
