import { fma, TILE_ROWS } from "../lanes";
import { QUERIES } from "./attention_layout";

/** Below every score but those that are masked with -inf, so that a maximum is never -inf and no difference is NaN. */
export const LOWEST: f32 = -f32.MAX_VALUE;

/**
 * The constants of `exp` below: its least argument, log₂e, 1.5 · 2²³ + 126, and 2 · 2ʳ for |r| <= ½ from r⁵ down, minimax in relative
 * error (9e-8). Loops load them once: V8 builds a v128.const anew from three instructions wherever one is used (softmax: 5.5 ns a
 * vector so, 2.1 with them in locals, 6.9 with numeric.ts's exp).
 */
const table = memory.data<f32>([
  -87.3365479, 1.44269504, 12583038,
  0.0026539070531725883, 0.019342582672834396, 0.1110142171382904, 0.48044493794441223, 1.3862940073013306, 2,
]);

// @ts-ignore: decorator
@inline function constant(i: usize): v128 {
  return v128.load32_splat(table + (i << 2));
}

/**
 * eˣ for x <= 0, as 2ⁿ · 2ʳ with x · log₂e = n + r. The product's rounding lets the relative error grow to |x| · 2⁻²⁴, which is what the
 * rounding of scores of that size brings in any case, and spares two steps. +0 below -87, 1 at 0, NaN at NaN.
 */
// @ts-ignore: decorator
@inline function exp(x: v128, least: v128, log2e: v128, round: v128, c5: v128, c4: v128, c3: v128, c2: v128, c1: v128, c0: v128): v128 {
  x = f32x4.pmax(x, least);
  const shifted = fma(x, log2e, round);
  const r = fma(x, log2e, f32x4.sub(round, shifted));
  return f32x4.mul(fma(fma(fma(fma(fma(c5, r, c4), r, c3), r, c2), r, c1), r, c0), i32x4.shl(shifted, 23));
}

/**
 * One block of the online softmax (arXiv:1805.02867) for eight queries in lanes: with m' = max(m, scores),
 * probabilities[key] = exp(scores[key] - m'), rescale = exp(m - m'), sum = sum · rescale + Σ probabilities.
 *
 * scores[keys][8] are multiplied by `scale` in place. A block in which a lane sees nothing (-inf) leaves that lane bit for bit as
 * it was: exp(0) is exactly 1, exp(-inf) exactly 0. probabilities, maximum, sum, rescale are this lane group's columns of [24].
 */
export function softmax(probabilities: usize, scores: usize, keys: i32, scale: f32, maximum: usize, sum: usize, rescale: usize): void {
  const scales = f32x4.splat(scale), end = scores + (<usize>keys << 5);
  const m0 = v128.load(maximum), m1 = v128.load(maximum, 16);
  let n0 = m0, n1 = m1;
  for (let at = scores; at < end; at += 32) {
    const s0 = f32x4.mul(v128.load(at), scales), s1 = f32x4.mul(v128.load(at, 16), scales);
    v128.store(at, s0); v128.store(at, s1, 16);
    n0 = f32x4.pmax(n0, s0); n1 = f32x4.pmax(n1, s1);
  }
  const least = constant(0), log2e = constant(1), round = constant(2);
  const c5 = constant(3), c4 = constant(4), c3 = constant(5), c2 = constant(6), c1 = constant(7), c0 = constant(8);
  let l0 = f32x4.splat(0), l1 = l0;
  for (let at = scores, to = probabilities; at < end; at += 32, to += QUERIES << 2) {
    const p0 = exp(f32x4.sub(v128.load(at), n0), least, log2e, round, c5, c4, c3, c2, c1, c0);
    const p1 = exp(f32x4.sub(v128.load(at, 16), n1), least, log2e, round, c5, c4, c3, c2, c1, c0);
    v128.store(to, p0); v128.store(to, p1, 16);
    l0 = f32x4.add(l0, p0); l1 = f32x4.add(l1, p1);
  }
  const r0 = exp(f32x4.sub(m0, n0), least, log2e, round, c5, c4, c3, c2, c1, c0);
  const r1 = exp(f32x4.sub(m1, n1), least, log2e, round, c5, c4, c3, c2, c1, c0);
  v128.store(rescale, r0); v128.store(rescale, r1, 16);
  v128.store(maximum, n0); v128.store(maximum, n1, 16);
  v128.store(sum, fma(v128.load(sum), r0, l0)); v128.store(sum, fma(v128.load(sum, 16), r1, l1), 16);
}

/** What `softmax` does where none of the eight queries sees any key of the block. */
export function softmax_nothing(probabilities: usize, keys: i32, rescale: usize): void {
  const zero = f32x4.splat(0), one = f32x4.splat(1);
  for (; keys > 0; keys--, probabilities += QUERIES << 2) {
    v128.store(probabilities, zero); v128.store(probabilities, zero, 16);
  }
  v128.store(rescale, one); v128.store(rescale, one, 16);
}

/**
 * c[TILE_ROWS][8] = c · rescale[TILE_ROWS] + pᵀ · v[keys, 8]: TILE_ROWS queries, eight floats of the values, a block of keys.
 *
 * p: TILE_ROWS floats of each row of [keys][24]; v with row stride `ldv` bytes, at any float. The block is summed from its first key
 * to its last and then added, so a result depends on its own row alone.
 */
export function values(c: usize, rescale: usize, p: usize, v: usize, ldv: usize, keys: i32): void {
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
  let c40 = c00, c41 = c00, c50 = c00, c51 = c00;
  for (; keys > 0; keys--, p += QUERIES << 2, v += ldv) {
    const b0 = v128.load(v), b1 = v128.load(v, 16);
    let s = v128.load32_splat(p);
    c00 = fma(s, b0, c00); c01 = fma(s, b1, c01);
    s = v128.load32_splat(p, 4);
    c10 = fma(s, b0, c10); c11 = fma(s, b1, c11);
    s = v128.load32_splat(p, 8);
    c20 = fma(s, b0, c20); c21 = fma(s, b1, c21);
    s = v128.load32_splat(p, 12);
    c30 = fma(s, b0, c30); c31 = fma(s, b1, c31);
    if (TILE_ROWS == 6) {
      s = v128.load32_splat(p, 16);
      c40 = fma(s, b0, c40); c41 = fma(s, b1, c41);
      s = v128.load32_splat(p, 20);
      c50 = fma(s, b0, c50); c51 = fma(s, b1, c51);
    }
  }
  add(c, v128.load32_splat(rescale), c00, c01);
  add(c + 32, v128.load32_splat(rescale, 4), c10, c11);
  add(c + 64, v128.load32_splat(rescale, 8), c20, c21);
  add(c + 96, v128.load32_splat(rescale, 12), c30, c31);
  if (TILE_ROWS == 6) {
    add(c + 128, v128.load32_splat(rescale, 16), c40, c41);
    add(c + 160, v128.load32_splat(rescale, 20), c50, c51);
  }
}

// @ts-ignore: decorator
@inline function add(c: usize, rescale: v128, c0: v128, c1: v128): void {
  v128.store(c, fma(v128.load(c), rescale, c0));
  v128.store(c, fma(v128.load(c, 16), rescale, c1), 16);
}

/** out[value_dim] = sums · inverse, sums in pieces of eight, 24 rows apart. */
export function close(out: usize, sums: usize, value_dim: i32, inverse: f32): void {
  const scale = f32x4.splat(inverse);
  let left = value_dim;
  for (; left >= 8; left -= 8, out += 32, sums += QUERIES << 5) {
    v128.store(out, f32x4.mul(v128.load(sums), scale));
    v128.store(out, f32x4.mul(v128.load(sums, 16), scale), 16);
  }
  for (; left > 0; left--, out += 4, sums += 4) store<f32>(out, load<f32>(sums) * inverse);
}

/** Turns a tap's row into probabilities: logits of keys first … last - 1 in place into exp(logit - maximum) · inverse, the rest into 0. */
export function close_tap(row: usize, keys: i32, first: i32, last: i32, maximum: f32, inverse: f32): void {
  memory.fill(row, 0, <usize>first << 2);
  memory.fill(row + (<usize>last << 2), 0, <usize>(keys - last) << 2);
  const m = f32x4.splat(maximum), scale = f32x4.splat(inverse);
  const least = constant(0), log2e = constant(1), round = constant(2);
  const c5 = constant(3), c4 = constant(4), c3 = constant(5), c2 = constant(6), c1 = constant(7), c0 = constant(8);
  let at = row + (<usize>first << 2);
  const end = row + (<usize>last << 2);
  for (; at + 16 <= end; at += 16) {
    v128.store(at, f32x4.mul(exp(f32x4.sub(v128.load(at), m), least, log2e, round, c5, c4, c3, c2, c1, c0), scale));
  }
  // one at a time at the end: the next row may be another thread's
  for (; at < end; at += 4) {
    const p = exp(f32x4.sub(v128.load32_splat(at), m), least, log2e, round, c5, c4, c3, c2, c1, c0);
    v128.store32_lane(at, f32x4.mul(p, scale), 0);
  }
}
