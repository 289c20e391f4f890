/**
 * Elementary functions on four f32 lanes, without tables, branches or library calls, and sine and cosine on one f64.
 *
 * The bounds are measured against f64 by tests/assembly/numeric.spec.ts over dense sweeps of all f32, in ulp of the exact result, for
 * builds with and without fused multiply-add. Coefficients are minimax in relative error (linear programs on Chebyshev points).
 * NaN gives NaN. pmin and pmax are one instruction each on x64, and as written here they hand a NaN on.
 */
import { Activation } from "../src/graph/op";
import { fma } from "./lanes";

// @ts-ignore: decorator
@inline function all(x: f32): v128 {
  return f32x4.splat(x);
}

/**
 * eˣ. 1 at 0, inf where it overflows, +0 below -86.99 (results under 1.7e-38 are flushed: they are subnormal but for a factor of 1.4).
 *
 * x = n · ln 2 + r with n rounded by adding 1.5 · 2²³; its integer bits then are the exponent of 2ⁿ⁻¹, which scales a polynomial for 2eʳ:
 * halved, so that the largest finite results are reached.
 */
// @ts-ignore: decorator
@inline export function exp(x: v128): v128 {
  x = f32x4.pmin(f32x4.pmax(x, all(-87.3365479)), all(89));
  const shifted = fma(x, all(1.44269504), all(12583038));
  const n = f32x4.sub(shifted, all(12583038));
  // ln 2 in two parts; the first has nine bits, so n times it is exact without a fused multiply-add too.
  let r = fma(n, all(-0.693359375), x);
  r = fma(n, all(2.12194440e-4), r);
  let p = fma(all(0.016674457117915154), r, all(0.08382123708724976));
  p = fma(p, r, all(0.33333471417427063));
  p = fma(p, r, all(0.9999802708625793));
  p = fma(p, r, all(2.000000238418579));
  p = fma(p, r, all(2));
  return f32x4.mul(p, i32x4.shl(shifted, 23));
}

/** tanh x as a rational function of odd degree 11 over 8. Exactly ±1 beyond ±9.02, x near 0. */
// @ts-ignore: decorator
@inline export function tanh(x: v128): v128 {
  x = f32x4.pmin(f32x4.pmax(x, all(-9.02)), all(9.02));
  const y = f32x4.mul(x, x);
  let p = fma(all(-1.0579251016884506e-11), y, all(2.8178702038417214e-8));
  p = fma(p, y, all(2.693619899218902e-5));
  p = fma(p, y, all(0.0038132795598357916));
  p = fma(p, y, all(0.13635511696338654));
  p = fma(p, y, all(1));
  let q = fma(all(1.2147469306000858e-6), y, all(3.8429422420449555e-4));
  q = fma(q, y, all(0.027042817324399948));
  q = fma(q, y, all(0.46968841552734375));
  q = fma(q, y, all(1));
  return f32x4.div(f32x4.mul(x, p), q);
}

/** Φ(x) - ½ = ½ erf(x / √2), the normal distribution's odd part, as a rational function of odd degree 11 over 10. Exactly ±½ beyond ±5.5. */
// @ts-ignore: decorator
@inline export function half_erf(x: v128): v128 {
  x = f32x4.pmin(f32x4.pmax(x, all(-5.5)), all(5.5));
  const y = f32x4.mul(x, x);
  let p = fma(all(2.19931326483902e-8), y, all(6.23981213720981e-6));
  p = fma(p, y, all(1.6901158960536122e-4));
  p = fma(p, y, all(0.004679194185882807));
  p = fma(p, y, all(0.03400140255689621));
  p = fma(p, y, all(0.3989422917366028));
  let q = fma(all(1.1665944157357444e-6), y, all(7.306838233489543e-5));
  q = fma(q, y, all(0.0018872068030759692));
  q = fma(q, y, all(0.028712056577205658));
  q = fma(q, y, all(0.25189536809921265));
  q = fma(q, y, all(1));
  return f32x4.div(f32x4.mul(x, p), q);
}

/** erf x. */
// @ts-ignore: decorator
@inline export function erf(x: v128): v128 {
  const h = half_erf(f32x4.mul(x, all(1.41421356)));
  return f32x4.add(h, h);
}

/** x · Φ(x) (arXiv:1606.08415), PyTorch's approximate="none". Φ is rounded near ½, so the error is relative to |x|, as it is in PyTorch. */
// @ts-ignore: decorator
@inline export function gelu(x: v128): v128 {
  return f32x4.mul(x, f32x4.add(half_erf(x), all(0.5)));
}

/** 1 / (1 + e⁻ˣ). */
// @ts-ignore: decorator
@inline export function sigmoid(x: v128): v128 {
  return f32x4.div(all(1), f32x4.add(exp(f32x4.neg(x)), all(1)));
}

/** x · sigmoid(-z). */
// @ts-ignore: decorator
@inline function gated(x: v128, z: v128): v128 {
  return f32x4.div(x, f32x4.add(exp(z), all(1)));
}

/** x · sigmoid(x) (arXiv:1702.03118). */
// @ts-ignore: decorator
@inline export function silu(x: v128): v128 {
  return gated(x, f32x4.neg(x));
}

/** x · sigmoid(1.702x) (arXiv:1606.08415). */
// @ts-ignore: decorator
@inline export function quick_gelu(x: v128): v128 {
  return gated(x, f32x4.mul(x, all(-1.702)));
}

/** ½x · (1 + tanh(√(2/π) · (x + 0.044715x³))) (arXiv:1606.08415), in its form with a sigmoid, which keeps the negative tail. */
// @ts-ignore: decorator
@inline export function gelu_tanh(x: v128): v128 {
  return gated(x, f32x4.mul(x, fma(f32x4.mul(x, x), all(-0.0713548162726), all(-1.5957691216057308))));
}

// @ts-ignore: decorator
@inline export function relu(x: v128): v128 {
  return f32x4.pmax(x, all(0));
}

/** relu(x)² (arXiv:2109.08668). */
// @ts-ignore: decorator
@inline export function relu2(x: v128): v128 {
  const r = relu(x);
  return f32x4.mul(r, r);
}

/**
 * The activation that `kind` (an Activation) names. Inlined: with a constant `kind` only that one remains, else 1 KB of code with a
 * well-predicted jump, so call it at one place in a loop.
 */
// @ts-ignore: decorator
@inline export function activate(x: v128, kind: i32): v128 {
  if (kind == Activation.gelu) return gelu(x);
  if (kind == Activation.gelu_tanh) return gelu_tanh(x);
  if (kind == Activation.relu) return relu(x);
  if (kind == Activation.silu) return silu(x);
  if (kind == Activation.tanh) return tanh(x);
  if (kind == Activation.quick_gelu) return quick_gelu(x);
  if (kind == Activation.relu2) return relu2(x);
  if (kind == Activation.sigmoid) return sigmoid(x);
  return x;
}

/**
 * x - n · π/2 for the nearest n. π/2 in three parts of 24, 25 and 53 bits: the first two products are exact for |n| < 2²⁸,
 * so the remainder of any f32 with |x| < 4e8 is good to the last bits of f64.
 */
// @ts-ignore: decorator
@inline function reduce(x: f64, n: f64): f64 {
  return x - n * 1.570796251296997 - n * 7.549789771132964e-8 - n * 1.837589179357618e-15;
}

// @ts-ignore: decorator
@inline function sine(r: f64, y: f64): f64 {
  return r + r * y * (-0.16666666663797543 + y * (0.0083333318523109728 + y * (-1.9840074665737465e-4 + y * 2.7248364773036668e-6)));
}

// @ts-ignore: decorator
@inline function cosine(y: f64): f64 {
  return 1 - 0.5 * y + y * y * (0.041666666664273013 + y * (-0.0013888887653322966 + y * (2.4800590303711416e-5 - y * 2.7299656316022867e-7)));
}

/** cos(x - quarters · π/2), in f64 with a relative error under 3e-11, for |x| < 4e8: cos with quarters = 0, sin with 1. */
export function cos(x: f64, quarters: i32): f64 {
  const n = nearest<f64>(x * 0.6366197723675814);
  const r = reduce(x, n), y = r * r;
  const quadrant = (<i32>n - quarters) & 3;
  const value = quadrant & 1 ? sine(r, y) : cosine(y);
  return quadrant == 1 || quadrant == 2 ? -value : value;
}
