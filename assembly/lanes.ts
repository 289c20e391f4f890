/** The only file that knows about relaxed SIMD. Everything else is written against these few operations on lanes. */

/** Rows of a matmul tile: what fits the sixteen vector registers of x64 beside its operands (measured: docs/decisions/0003). */
// @ts-ignore: decorator
@inline export const TILE_ROWS: i32 = ASC_FEATURE_RELAXED_SIMD ? 6 : 4;

/** a · b + c: one rounding in the relaxed build where the engine fuses (all current ones do), two in the simd build. */
// @ts-ignore: decorator
@inline export function fma(a: v128, b: v128, c: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return f32x4.relaxed_madd(a, b, c);
  return f32x4.add(f32x4.mul(a, b), c);
}

/** Bytes of `table` by `index`, whose bytes are below 16: then the relaxed instruction, one less on x64, has one possible result too. */
// @ts-ignore: decorator
@inline export function pick(table: v128, index: v128): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) return i8x16.relaxed_swizzle(table, index);
  return i8x16.swizzle(table, index);
}
