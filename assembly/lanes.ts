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
