import { fma } from "../lanes";
import { pad, sum, sum_squares } from "./rows";

/**
 * out[r] = (x[r] - mean) / √(var + eps) · weight + bias, with the biased variance (arXiv:1607.06450).
 *
 * out [rows, cols], x [rows, cols], weight and bias [cols], either 0 where absent. out may be x.
 * Mean and variance in two passes over eight f32 accumulators; |error| ≤ 6 · 2⁻²⁴ · ((|x| + |mean|) / √(var + eps) · |weight| + |bias|).
 */
export function layer_norm(
  out: usize, x: usize, weight: usize, bias: usize, rows: i32, cols: i32, ldo: i32, ldx: i32, eps: f32,
): void {
  const count = <f32>cols;
  for (; rows > 0; --rows, out += ldo << 2, x += ldx << 2) {
    const mean = sum(x, cols) / count;
    const scale = <f32>1 / sqrt<f32>(sum_squares(x, cols, mean) / count + eps);
    affine(out, x, weight, bias, cols, mean, scale, 0);
  }
}

/**
 * out[r, g] = x[r, g] / √(mean(x[r, g]²) + eps) · (weight + offset) (arXiv:1910.07467).
 *
 * out and x [rows, groups, cols], weight [cols] or 0 where absent. out may be x. Eight f32 accumulators; within 4 ulp.
 */
export function rms_norm(
  out: usize, x: usize, weight: usize, rows: i32, cols: i32, groups: i32, ldo: i32, ldx: i32, eps: f32, offset: f32,
): void {
  const size = <usize>cols << 2;
  for (; rows > 0; --rows, out += ldo << 2, x += ldx << 2) {
    for (let at: usize = 0, end = <usize>groups * size; at < end; at += size) {
      const scale = <f32>1 / sqrt<f32>(sum_squares(x + at, cols, 0) / <f32>cols + eps);
      if (groups == 1) affine(out, x, weight, 0, cols, 0, scale, offset);
      else scaled(out + at, x + at, weight, size, scale, offset);
    }
    if (groups > 1) pad(out, cols * groups);
  }
}

/** out = x · scale · (weight + offset) over one group, which others follow: the floats left over from whole vectors go one by one. */
// @ts-ignore: decorator
@inline function scaled(out: usize, x: usize, weight: usize, size: usize, scale: f32, offset: f32): void {
  const s = f32x4.splat(scale), o = f32x4.splat(offset);
  let at: usize = 0;
  for (const whole = size & ~15; at < whole; at += 16) {
    v128.store(out + at, f32x4.mul(f32x4.mul(v128.load(x + at), s), f32x4.add(v128.load(weight + at), o)));
  }
  for (; at < size; at += 4) store<f32>(out + at, load<f32>(x + at) * scale * (load<f32>(weight + at) + offset));
}

/**
 * out[r] = x[r] / max(‖x[r]‖₂, eps), as torch.nn.functional.normalize.
 *
 * out [rows, cols], x [rows, cols]. out may be x. Eight f32 accumulators; within 3 ulp.
 */
export function normalize(out: usize, x: usize, rows: i32, cols: i32, ldo: i32, ldx: i32, eps: f32): void {
  for (; rows > 0; --rows, out += ldo << 2, x += ldx << 2) {
    const norm = f32x4.splat(max<f32>(sqrt<f32>(sum_squares(x, cols, 0)), eps));
    for (let at: usize = 0, end = <usize>cols << 2; at < end; at += 16) {
      v128.store(out + at, f32x4.div(v128.load(x + at), norm));
    }
    pad(out, cols);
  }
}

/** out = (x - mean) · scale · (weight + offset) + bias over one row. */
// @ts-ignore: decorator
@inline function affine(
  out: usize, x: usize, weight: usize, bias: usize, cols: i32, mean: f32, scale: f32, offset: f32,
): void {
  const m = f32x4.splat(mean), s = f32x4.splat(scale), o = f32x4.splat(offset), zero = f32x4.splat(0);
  for (let at: usize = 0, end = <usize>cols << 2; at < end; at += 16) {
    let v = f32x4.mul(f32x4.sub(v128.load(x + at), m), s);
    if (weight) v = fma(v, f32x4.add(v128.load(weight + at), o), bias ? v128.load(bias + at) : zero);
    else if (bias) v = f32x4.add(v, v128.load(bias + at));
    v128.store(out + at, v);
  }
  pad(out, cols);
}
