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
  const x = i32x4.shl(v128.load_ext<u16>(from), 16);
  return dtype == Dtype.bf16 ? x : half(x);
}

/** One number of a file, as f32 in lane 0. */
// @ts-ignore: decorator
@inline export function widen_one(from: usize, dtype: i32): v128 {
  if (dtype == Dtype.f32) return v128.load32_zero(from);
  const x = i32x4.splat(<u32>load<u16>(from) << 16);
  return dtype == Dtype.bf16 ? x : half(x);
}

/** The sign; the difference of the exponents' biases, and one more; the smallest normal number; the largest finite one (as `bits` below). */
const HALF: usize = memory.data<u32>([0x80000000, 112 << 23, 113 << 23, 0x00800000, 0x0f7fffff]);

// @ts-ignore: decorator
@inline function constant(i: usize): v128 {
  return v128.load32_splat(HALF + (i << 2));
}

/**
 * IEEE 754 binary16 in the high halves of the lanes to binary32: exponent and fraction move into place and the exponent to the other
 * bias, in integers. inf and NaN are moved by as much again. A subnormal has no hidden bit: it gets one and a subtraction takes it off,
 * which is exact and has no subnormal operand (those are slow).
 */
// @ts-ignore: decorator
@inline function half(x: v128): v128 {
  const sign = v128.and(x, constant(0)), bits = i32x4.shr_u(v128.xor(x, sign), 3);
  const special = v128.and(i32x4.gt_s(bits, constant(4)), constant(1));
  const normal = i32x4.add(i32x4.add(bits, constant(1)), special);
  const subnormal = f32x4.sub(i32x4.add(bits, constant(2)), constant(2));
  return v128.or(sign, v128.bitselect(subnormal, normal, i32x4.lt_s(bits, constant(3))));
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
