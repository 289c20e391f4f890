/**
 * Elementary functions on four f32 lanes, without branches or library calls, and sine and cosine on one f64.
 *
 * The bounds are measured against f64 by tests/assembly/numeric.spec.ts over dense sweeps of all f32, in ulp of the exact result, for
 * builds with and without fused multiply-add. Coefficients are minimax in relative error (linear programs on Chebyshev points).
 * NaN gives NaN. pmin and pmax are one instruction each on x64, and as written here they hand a NaN on.
 */
import { Activation } from "../src/graph/op";
import { fma } from "./lanes";

/** Constants are loaded from tables: V8 builds a v128.const from three instructions every time (GELU: 6.7 ns a vector, from tables 3.6). */
// @ts-ignore: decorator
@inline function splat(table: usize, i: usize): v128 {
  return v128.load32_splat(table + (i << 2));
}

/** A polynomial of degree up to 6 by Horner's rule, its coefficients from the highest power down. `degree` is a constant. */
// @ts-ignore: decorator
@inline function polynomial(table: usize, degree: i32, x: v128): v128 {
  let p = fma(splat(table, 0), x, splat(table, 1));
  if (degree > 1) p = fma(p, x, splat(table, 2));
  if (degree > 2) p = fma(p, x, splat(table, 3));
  if (degree > 3) p = fma(p, x, splat(table, 4));
  if (degree > 4) p = fma(p, x, splat(table, 5));
  if (degree > 5) p = fma(p, x, splat(table, 6));
  return p;
}

/** -126 · ln 2, 89, 1 / ln 2, 1.5 · 2²³ + 126, -ln 2 in two parts: the first has nine bits, so its product is exact without a fused multiply-add too. */
const EXP: usize = memory.data<f32>([-87.3365479, 89, 1.44269504, 12583038, -0.693359375, 2.12194440e-4]);
const TWICE_EXP: usize = memory.data<f32>([
  0.002770235063508153, 0.01673354022204876, 0.08333476632833481, 0.33333083987236023, 1, 2, 2,
]);

/**
 * eˣ within 1.2 ulp. 1 at 0, inf where it overflows, +0 below -86.99 (results under 1.7e-38 are flushed: they are subnormal but for a factor of 1.4).
 *
 * x = n · ln 2 + r with n rounded by adding 1.5 · 2²³; its low bits then are the exponent of 2ⁿ⁻¹, which scales a polynomial for 2eʳ:
 * halved and doubled, so that the largest finite results are reached.
 */
// @ts-ignore: decorator
@inline export function exp(x: v128): v128 {
  x = f32x4.pmin(f32x4.pmax(x, splat(EXP, 0)), splat(EXP, 1));
  const shifted = fma(x, splat(EXP, 2), splat(EXP, 3));
  const n = f32x4.sub(shifted, splat(EXP, 3));
  const r = fma(n, splat(EXP, 5), fma(n, splat(EXP, 4), x));
  return f32x4.mul(polynomial(TWICE_EXP, 6, r), i32x4.shl(shifted, 23));
}

/** Where tanh is 1, -2 / ln 2, 1.5 · 2²³ + 127, ln 2 / 2 in two parts, 2. */
const TANH: usize = memory.data<f32>([9.1, -2.88539008, 12583039, 0.3466796875, -1.06097220e-4, 2]);
const EXPM1: usize = memory.data<f32>([
  0.08888878673315048, -0.2678147852420807, 0.6666742563247681, -1.3333203792572021, 1.9999998807907104, -2,
]);

/**
 * tanh x = -m / (2 + m), m = e^(-2|x|) - 1, with the sign of x, within 2.6 ulp. x near 0, ±1 from 9.1 on and never beyond.
 *
 * |x| = n · ln 2 / -2 + p as in exp; 2ⁿ · (1 + t) - 1 = (2ⁿ - 1) + 2ⁿ · t loses nothing near 0, where n = 0.
 */
// @ts-ignore: decorator
@inline export function tanh(x: v128): v128 {
  const a = f32x4.pmin(f32x4.abs(x), splat(TANH, 0));
  const shifted = fma(a, splat(TANH, 1), splat(TANH, 2));
  const n = f32x4.sub(shifted, splat(TANH, 2));
  const p = fma(n, splat(TANH, 4), fma(n, splat(TANH, 3), a));
  const t = f32x4.mul(polynomial(EXPM1, 5, p), p);
  const s = i32x4.shl(shifted, 23);
  const m = fma(s, t, f32x4.sub(s, splat(GATE, 0)));
  const y = f32x4.div(m, f32x4.add(m, splat(TANH, 5)));
  const sign = i32x4.splat(0x80000000);
  return v128.bitselect(x, y, sign);
}

/** Where Φ - ½ becomes ±½ exactly, with and without fused multiply-add; ½. */
const NORMAL: usize = memory.data<f32>([-5.47, 5.47, 0.5]);
const NORMAL_P: usize = memory.data<f32>([
  2.325828063476365e-8, 6.31143575446913e-6, 1.6257484094239771e-4, 0.004639805760234594, 0.0332389771938324, 0.3989422619342804,
]);
const NORMAL_Q: usize = memory.data<f32>([
  1.2092673387087416e-6, 7.16474824002944e-5, 0.0018492937088012695, 0.028294911608099937, 0.24998418986797333, 1,
]);

/** Φ(x) - ½ = ½ erf(x / √2), the normal distribution's odd part: x · P(x²) / Q(x²). */
// @ts-ignore: decorator
@inline function normal(x: v128): v128 {
  x = f32x4.pmin(f32x4.pmax(x, splat(NORMAL, 0)), splat(NORMAL, 1));
  const y = f32x4.mul(x, x);
  return f32x4.div(f32x4.mul(x, polynomial(NORMAL_P, 5, y)), polynomial(NORMAL_Q, 5, y));
}

/** x · Φ(x) (arXiv:1606.08415), PyTorch's approximate="none": within 5 ulp from -1 up, and 4 · 2⁻²⁴ · |x| everywhere (Φ is rounded near ½, as in PyTorch). */
// @ts-ignore: decorator
@inline export function gelu(x: v128): v128 {
  return f32x4.mul(x, f32x4.add(normal(x), splat(NORMAL, 2)));
}

/** As NORMAL, NORMAL_P and NORMAL_Q, shorter. */
const SHORT: usize = memory.data<f32>([-4.4, 4.4, 0.5]);
const SHORT_P: usize = memory.data<f32>([3.38738366e-5, 3.84665155e-3, 0.0271372776, 0.398939585]);
const SHORT_Q: usize = memory.data<f32>([1.17843e-3, 0.02371825, 0.23470476, 1]);

/** GELU for what is rounded to a few bits afterwards: within 2.5e-6 for |x| < 4.4, and 1e-5 · |x| from there on. */
// @ts-ignore: decorator
@inline export function gelu_short(x: v128): v128 {
  const t = f32x4.pmin(f32x4.pmax(x, splat(SHORT, 0)), splat(SHORT, 1)), y = f32x4.mul(t, t);
  const normal = f32x4.div(f32x4.mul(t, polynomial(SHORT_P, 3, y)), polynomial(SHORT_Q, 3, y));
  return f32x4.mul(x, f32x4.add(normal, splat(SHORT, 2)));
}

/** 1; 1.702; √(2/π) · 0.044715 · -2; √(2/π) · -2. */
const GATE: usize = memory.data<f32>([1, -1.702, -0.0713548162726, -1.5957691216057308]);

/** x · sigmoid(-z). */
// @ts-ignore: decorator
@inline function gated(x: v128, z: v128): v128 {
  return f32x4.div(x, f32x4.add(exp(z), splat(GATE, 0)));
}

/** 1 / (1 + e⁻ˣ) within 2.5 ulp, 0 where it would be under 1.7e-38. */
// @ts-ignore: decorator
@inline export function sigmoid(x: v128): v128 {
  return gated(splat(GATE, 0), f32x4.neg(x));
}

/** x · sigmoid(x) (arXiv:1702.03118) within 2.5 ulp down to -86, 0 below -89. */
// @ts-ignore: decorator
@inline export function silu(x: v128): v128 {
  return gated(x, f32x4.neg(x));
}

/** x · sigmoid(1.702x) (arXiv:1606.08415) within 2.5 ulp from -1 up, and 2 · 2⁻²⁴ · |x| everywhere. */
// @ts-ignore: decorator
@inline export function quick_gelu(x: v128): v128 {
  return gated(x, f32x4.mul(x, splat(GATE, 1)));
}

/**
 * ½x · (1 + tanh(√(2/π) · (x + 0.044715x³))) (arXiv:1606.08415), in its form with a sigmoid,
 * which keeps the negative tail: within 3 ulp from -1 up, and 2 · 2⁻²⁴ · |x| everywhere.
 */
// @ts-ignore: decorator
@inline export function gelu_tanh(x: v128): v128 {
  return gated(x, f32x4.mul(x, fma(f32x4.mul(x, x), splat(GATE, 2), splat(GATE, 3))));
}

// @ts-ignore: decorator
@inline export function relu(x: v128): v128 {
  return f32x4.pmax(x, f32x4.splat(0));
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
  if (kind == Activation.exp) return exp(x);
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
