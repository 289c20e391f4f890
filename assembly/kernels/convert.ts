import { Dtype } from "../../src/graph/op";

/** Bytes of one number of a file, as a shift. */
// @ts-ignore: decorator
@inline export function shift(dtype: i32): i32 {
  return dtype == Dtype.f32 ? 2 : 1;
}

/** Four numbers of a file from any byte on, as f32. Exact for every bit pattern, NaN payloads included. */
// @ts-ignore: decorator
@inline export function widen(from: usize, dtype: i32): v128 {
  if (dtype == Dtype.f32) return v128.load(from);
  const h = v128.load_ext<u16>(from);
  return dtype == Dtype.bf16 ? i32x4.shl(h, 16) : half(h);
}

/** One number of a file, as f32 in lane 0. */
// @ts-ignore: decorator
@inline export function widen_one(from: usize, dtype: i32): v128 {
  if (dtype == Dtype.f32) return v128.load32_zero(from);
  const h = i32x4.splat(load<u16>(from));
  return dtype == Dtype.bf16 ? i32x4.shl(h, 16) : half(h);
}

/**
 * IEEE 754 binary16 to binary32: the exponent is moved to the other bias in integers. That makes of a subnormal 2⁻¹⁴ too much, which a
 * subtraction takes off exactly without a subnormal operand (those are slow), and of inf and NaN an exponent short of 255.
 */
// @ts-ignore: decorator
@inline function half(h: v128): v128 {
  const bits = i32x4.shl(v128.and(h, i32x4.splat(0x7fff)), 13);
  const moved = i32x4.add(bits, i32x4.splat(112 << 23));
  const special = v128.and(i32x4.gt_s(bits, i32x4.splat(0x0f7fffff)), i32x4.splat(112 << 23));
  const tiny = f32x4.sub(i32x4.add(moved, i32x4.splat(1 << 23)), i32x4.splat(113 << 23));
  const small = i32x4.lt_s(bits, i32x4.splat(0x00800000));
  const magnitude = v128.bitselect(tiny, i32x4.add(moved, special), small);
  return v128.or(magnitude, i32x4.shl(v128.and(h, i32x4.splat(0x8000)), 16));
}

/** out[i] = the i-th of `count` numbers of type `dtype` (a Dtype) at `bytes`, from any byte on. Exact. The two must not overlap. */
export function convert(out: usize, bytes: usize, count: i32, dtype: i32): void {
  if (dtype == Dtype.f32) memory.copy(out, bytes, <usize>count << 2);
  else if (dtype == Dtype.bf16) convert_halves(out, bytes, count, Dtype.bf16);
  else convert_halves(out, bytes, count, Dtype.f16);
}

// @ts-ignore: decorator
@inline function convert_halves(out: usize, bytes: usize, count: i32, dtype: i32): void {
  for (; count >= 4; count -= 4, out += 16, bytes += 8) v128.store(out, widen(bytes, dtype));
  for (; count > 0; --count, out += 4, bytes += 2) v128.store_lane<f32>(out, widen_one(bytes, dtype), 0);
}
