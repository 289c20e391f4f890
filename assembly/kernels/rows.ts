/**
 * What the row-wise kernels share. A row has `cols` floats; it is read and written in whole vectors up to `cols` rounded up to 8
 * (over-read: at most 28 bytes past the row). What lies behind the columns of an input is ignored, what lies behind those of an output becomes zero.
 */

/** All bits set in the lanes below `left`. */
// @ts-ignore: decorator
@inline export function live(left: i32): v128 {
  return i32x4.gt_s(i32x4.splat(left), i32x4(0, 1, 2, 3));
}

/** Zeroes floats cols … cols rounded up to 8 of the row at `out`. */
// @ts-ignore: decorator
@inline export function pad(out: usize, cols: i32): void {
  const left = cols & 7;
  if (left) {
    out += (cols - left) << 2;
    v128.store(out, v128.and(v128.load(out), live(left)));
    v128.store(out, v128.and(v128.load(out, 16), live(left - 4)), 16);
  }
}

// @ts-ignore: decorator
@inline export function total(v: v128): f32 {
  v = f32x4.add(v, v128.shuffle<i32>(v, v, 2, 3, 0, 1));
  return f32x4.extract_lane(v, 0) + f32x4.extract_lane(v, 1);
}

/** Σ x over a row. Eight f32 accumulators, always in the same order. */
export function sum(x: usize, cols: i32): f32 {
  let a = f32x4.splat(0), b = a;
  for (; cols >= 8; cols -= 8, x += 32) {
    a = f32x4.add(a, v128.load(x));
    b = f32x4.add(b, v128.load(x, 16));
  }
  if (cols) {
    a = f32x4.add(a, v128.and(v128.load(x), live(cols)));
    b = f32x4.add(b, v128.and(v128.load(x, 16), live(cols - 4)));
  }
  return total(f32x4.add(a, b));
}

/** Σ (x - about)² over a row. Eight f32 accumulators, always in the same order; no fused multiply-add, so that all builds agree. */
export function sum_squares(x: usize, cols: i32, about: f32): f32 {
  const m = f32x4.splat(about);
  let a = f32x4.splat(0), b = a;
  for (; cols >= 8; cols -= 8, x += 32) {
    const d = f32x4.sub(v128.load(x), m), e = f32x4.sub(v128.load(x, 16), m);
    a = f32x4.add(a, f32x4.mul(d, d));
    b = f32x4.add(b, f32x4.mul(e, e));
  }
  if (cols) {
    const d = v128.and(f32x4.sub(v128.load(x), m), live(cols)), e = v128.and(f32x4.sub(v128.load(x, 16), m), live(cols - 4));
    a = f32x4.add(a, f32x4.mul(d, d));
    b = f32x4.add(b, f32x4.mul(e, e));
  }
  return total(f32x4.add(a, b));
}
