import { fma } from "../lanes";
import { ROW, SPAN } from "./attention_layout";

/**
 * The constants of `exp` below: its least argument, 1.5 · 2²³, and 2ʳ for |r| <= ½ from r⁵ down to r, minimax in relative error
 * (9e-8), 1, log₂ e. Loops load them once: V8 builds a v128.const anew from three instructions wherever one is used.
 */
const table = memory.data<f32>([
  -127, 12582912, 0.0013264727, 0.0096715126, 0.0555073373, 0.2402224208, 0.6931469776, 1, 1.44269504,
]);

// @ts-ignore: decorator
@inline function constant(i: usize): v128 {
  return v128.load32_splat(table + (i << 2));
}

/**
 * eˣ for x <= 0, as 2ⁿ · 2ʳ with x · log₂ e = n + r. x is a difference of scores, small where it counts: scores that were multiplied by
 * log₂ e themselves would each be rounded at its own size. Relative error 2⁻²² + 2⁻²³ |x| down to -87, below it an absolute one of 2⁻¹²⁶.
 * 1 at 0, +0 at and below -88.03, NaN at NaN. `nearest`, and odd powers beside even ones: what bounds the loop is how many instructions wait for one another.
 */
// @ts-ignore: decorator
@inline function exp(x: v128, log2e: v128, least: v128, round: v128, c5: v128, c4: v128, c3: v128, c2: v128, c1: v128, c0: v128): v128 {
  x = f32x4.pmax(f32x4.mul(x, log2e), least);
  const r = f32x4.sub(x, f32x4.nearest(x)), rr = f32x4.mul(r, r);
  return i32x4.add(fma(fma(fma(c5, r, c4), rr, fma(c3, r, c2)), rr, fma(c1, r, c0)), i32x4.shl(f32x4.add(x, round), 23));
}

/** next = max(maximum, scores) for eight queries in lanes; scores are rows of [24]. */
export function largest(scores: usize, keys: i32, maximum: usize, next: usize): void {
  let m0 = v128.load(maximum), m1 = v128.load(maximum, 16);
  for (; keys > 0; keys--, scores += ROW) {
    m0 = f32x4.pmax(m0, v128.load(scores)); m1 = f32x4.pmax(m1, v128.load(scores, 16));
  }
  v128.store(next, m0); v128.store(next, m1, 16);
}

/**
 * One block of the online softmax (arXiv:1805.02867) for eight queries in lanes: with m' = next, the maximum with this block,
 * scores[key] = e^(scores[key] - m'), rescale = e^(m - m'), sum = sum · rescale + Σ scores.
 *
 * A block in which a lane sees nothing (-inf) leaves that lane bit for bit as it was: exp(0) is exactly 1, exp(-inf) exactly 0.
 */
export function softmax(scores: usize, keys: i32, maximum: usize, next: usize, sum: usize, rescale: usize): void {
  const least = constant(0), round = constant(1);
  const c5 = constant(2), c4 = constant(3), c3 = constant(4), c2 = constant(5), c1 = constant(6), c0 = constant(7), log2e = constant(8);
  // Four lanes at a time: what the loop needs fits the registers.
  for (let lane: usize = 0; lane < 32; lane += 16) {
    const n = v128.load(next + lane), m = v128.load(maximum + lane);
    let l = f32x4.splat(0);
    for (let at = scores + lane, end = at + <usize>keys * ROW; at < end; at += ROW) {
      const p = exp(f32x4.sub(v128.load(at), n), log2e, least, round, c5, c4, c3, c2, c1, c0);
      v128.store(at, p);
      l = f32x4.add(l, p);
    }
    const r = exp(f32x4.sub(m, n), log2e, least, round, c5, c4, c3, c2, c1, c0);
    v128.store(rescale + lane, r);
    v128.store(maximum + lane, n);
    v128.store(sum + lane, fma(v128.load(sum + lane), r, l));
  }
}

/** p[keys] = e^(p - next), whole vectors of it; returns e^(maximum - next) in every lane: `softmax` of one query, but for its sum. */
export function power_row(p: usize, keys: i32, maximum: f32, next: f32): v128 {
  const least = constant(0), round = constant(1), n = f32x4.splat(next);
  const c5 = constant(2), c4 = constant(3), c3 = constant(4), c2 = constant(5), c1 = constant(6), c0 = constant(7), log2e = constant(8);
  for (const end = p + (<usize>keys << 2); p < end; p += 16) {
    v128.store(p, exp(f32x4.sub(v128.load(p), n), log2e, least, round, c5, c4, c3, c2, c1, c0));
  }
  return exp(f32x4.sub(f32x4.splat(maximum), n), log2e, least, round, c5, c4, c3, c2, c1, c0);
}

/** What `softmax` does where none of the eight queries sees any key of the block. */
export function softmax_nothing(scores: usize, keys: i32, rescale: usize): void {
  const zero = f32x4.splat(0), one = f32x4.splat(1);
  for (; keys > 0; keys--, scores += ROW) {
    v128.store(scores, zero); v128.store(scores, zero, 16);
  }
  v128.store(rescale, one); v128.store(rescale, one, 16);
}

/** out[value_dim] = sums · inverse, sums in pieces of eight, 192 rows apart. */
export function close(out: usize, sums: usize, value_dim: i32, inverse: f32): void {
  const scale = f32x4.splat(inverse);
  let left = value_dim;
  for (; left >= 8; left -= 8, out += 32, sums += SPAN << 5) {
    v128.store(out, f32x4.mul(v128.load(sums), scale));
    v128.store(out, f32x4.mul(v128.load(sums, 16), scale), 16);
  }
  for (; left > 0; left--, out += 4, sums += 4) store<f32>(out, load<f32>(sums) * inverse);
}

/** Turns a tap's row into probabilities: logits of keys first … last - 1 in place into e^(logit - maximum) · inverse, the rest into 0. */
export function close_tap(row: usize, keys: i32, first: i32, last: i32, maximum: f32, inverse: f32): void {
  memory.fill(row, 0, <usize>first << 2);
  memory.fill(row + (<usize>last << 2), 0, <usize>(keys - last) << 2);
  const m = f32x4.splat(maximum), scale = f32x4.splat(inverse);
  const least = constant(0), round = constant(1);
  const c5 = constant(2), c4 = constant(3), c3 = constant(4), c2 = constant(5), c1 = constant(6), c0 = constant(7), log2e = constant(8);
  let at = row + (<usize>first << 2);
  const end = row + (<usize>last << 2);
  for (; at + 16 <= end; at += 16) {
    v128.store(at, f32x4.mul(exp(f32x4.sub(v128.load(at), m), log2e, least, round, c5, c4, c3, c2, c1, c0), scale));
  }
  // one at a time at the end: the next row may be another thread's
  for (; at < end; at += 4) {
    const p = exp(f32x4.sub(v128.load32_splat(at), m), log2e, least, round, c5, c4, c3, c2, c1, c0);
    v128.store32_lane(at, f32x4.mul(p, scale), 0);
  }
}
