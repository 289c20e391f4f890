import { fma, TILE_ROWS } from "../lanes";
import { QUERIES } from "./attention_layout";

/** Below every score but those that are masked with -inf, so that a maximum is never -inf and no difference is NaN. */
export const LOWEST: f32 = -f32.MAX_VALUE;

/** The constants of `exp`, in a table: V8 builds a v128.const anew from three instructions wherever one is used, a load is one. */
const table = memory.data<f32>([-87.3365479, 1.44269504, 12583038, 0.0026539070531725883, 0.019342582672834396, 0.1110142171382904, 0.48044493794441223, 1.3862940073013306, 2]);

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
  const least = v128.load32_splat(table), log2e = v128.load32_splat(table, 4), round = v128.load32_splat(table, 8);
  const c5 = v128.load32_splat(table, 12), c4 = v128.load32_splat(table, 16), c3 = v128.load32_splat(table, 20);
  const c2 = v128.load32_splat(table, 24), c1 = v128.load32_splat(table, 28), c0 = v128.load32_splat(table, 32);
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

/**
 * eˣ for x <= 0, as 2ⁿ · 2ʳ with x · log₂e = n + r: the product's rounding makes the relative error grow to |x| · 2⁻²⁴, which is no
 * more than the scores bring along, and x in its place at no cost that numeric.ts's exp avoids with two parts of ln 2.
 * 0 from -87 down, 1 at 0. The polynomial is 2 · 2ʳ, minimax in relative error (9e-8).
 */
// @ts-ignore: decorator
@inline function exp(x: v128, least: v128, log2e: v128, round: v128, c5: v128, c4: v128, c3: v128, c2: v128, c1: v128, c0: v128): v128 {
  x = f32x4.pmax(x, least);
  const shifted = fma(x, log2e, round);
  const r = fma(x, log2e, f32x4.sub(round, shifted));
  return f32x4.mul(fma(fma(fma(fma(fma(c5, r, c4), r, c3), r, c2), r, c1), r, c0), i32x4.shl(shifted, 23));
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
  if (TILE_ROWS == 6) {
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
      s = v128.load32_splat(p, 16);
      c40 = fma(s, b0, c40); c41 = fma(s, b1, c41);
      s = v128.load32_splat(p, 20);
      c50 = fma(s, b0, c50); c51 = fma(s, b1, c51);
    }
    add(c + 128, v128.load32_splat(rescale, 16), c40, c41);
    add(c + 160, v128.load32_splat(rescale, 20), c50, c51);
  } else {
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
    }
  }
  add(c, v128.load32_splat(rescale), c00, c01);
  add(c + 32, v128.load32_splat(rescale, 4), c10, c11);
  add(c + 64, v128.load32_splat(rescale, 8), c20, c21);
  add(c + 96, v128.load32_splat(rescale, 12), c30, c31);
}

// @ts-ignore: decorator
@inline function add(c: usize, rescale: v128, c0: v128, c1: v128): void {
  v128.store(c, fma(v128.load(c), rescale, c0));
  v128.store(c, fma(v128.load(c, 16), rescale, c1), 16);
}
