import { Quantized } from "../../src/graph/op";
import { pick } from "../lanes";
import { tables } from "./quantize";

/**
 * Tiles of integer dot products Σ u·q of four outputs: sums[row][pair of outputs] are vectors of four i32, of which two (0 and 2, 1 and 3)
 * are still to be added, as `pair` leaves them.
 *
 * a: four rows of activations interleaved by vectors of 16 bytes. w: four rows of k bytes. k a multiple of 32.
 */

const ONES: usize = memory.data<i16>([1, 1, 1, 1, 1, 1, 1, 1]);

/** Eight sums of two products of i8 (w) and u7 (a): |sum| ≤ 2 · 127 · 127 fits 16 bits, so this has one possible result. */
// @ts-ignore: decorator
@inline function begin(w: v128, a: v128): v128 {
  return i16x8.relaxed_dot_i8x16_i7x16_s(w, a);
}
// @ts-ignore: decorator
@inline function dot(w: v128, a: v128, sum: v128): v128 {
  return i16x8.add(sum, begin(w, a));
}

/** Ends a chain: what its pairs of sums add up to. */
// @ts-ignore: decorator
@inline function ended(sum: v128, ones: v128): v128 {
  return i32x4.dot_i16x8_s(sum, ones);
}

/** Two outputs' sums side by side. */
// @ts-ignore: decorator
@inline function pair(a: v128, b: v128): v128 {
  return i32x4.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7));
}

/**
 * Four rows by four outputs, two at a time, in 16-bit chains of Quantized.chain k, for q8 and q4. `sums` has 128 bytes more for what chains
 * came to, zeros if there is one only. Widening comes once a chain, as it takes the ports that dots need (docs/decisions/0010).
 */
export function tile(sums: usize, a: usize, w: usize, k: i32): void {
  if (!ASC_FEATURE_RELAXED_SIMD) return;
  if (fused) return plain_tile(sums, a, w, k, false);
  const ones = v128.load(ONES), parts = sums + 128, rows = a;
  let c00: v128, c01: v128, c10: v128, c11: v128, c20: v128, c21: v128, c30: v128, c31: v128, p: v128, q: v128, x: v128;
  for (const end = sums + 32; sums < end; sums += 16) {
    let v = w + <usize>k, left = k;
    for (a = rows; ; left -= Quantized.chain) {
      const last = w + <usize>min(left, Quantized.chain);
      p = v128.load(w); q = v128.load(v);
      x = v128.load(a); c00 = begin(p, x); c01 = begin(q, x);
      x = v128.load(a, 16); c10 = begin(p, x); c11 = begin(q, x);
      x = v128.load(a, 32); c20 = begin(p, x); c21 = begin(q, x);
      x = v128.load(a, 48); c30 = begin(p, x); c31 = begin(q, x);
      p = v128.load(w, 16); q = v128.load(v, 16);
      x = v128.load(a, 64); c00 = dot(p, x, c00); c01 = dot(q, x, c01);
      x = v128.load(a, 80); c10 = dot(p, x, c10); c11 = dot(q, x, c11);
      x = v128.load(a, 96); c20 = dot(p, x, c20); c21 = dot(q, x, c21);
      x = v128.load(a, 112); c30 = dot(p, x, c30); c31 = dot(q, x, c31);
      w += 32; v += 32; a += 128;
      for (; w < last; w += 32, v += 32, a += 128) {
        p = v128.load(w); q = v128.load(v);
        x = v128.load(a); c00 = dot(p, x, c00); c01 = dot(q, x, c01);
        x = v128.load(a, 16); c10 = dot(p, x, c10); c11 = dot(q, x, c11);
        x = v128.load(a, 32); c20 = dot(p, x, c20); c21 = dot(q, x, c21);
        x = v128.load(a, 48); c30 = dot(p, x, c30); c31 = dot(q, x, c31);
        p = v128.load(w, 16); q = v128.load(v, 16);
        x = v128.load(a, 64); c00 = dot(p, x, c00); c01 = dot(q, x, c01);
        x = v128.load(a, 80); c10 = dot(p, x, c10); c11 = dot(q, x, c11);
        x = v128.load(a, 96); c20 = dot(p, x, c20); c21 = dot(q, x, c21);
        x = v128.load(a, 112); c30 = dot(p, x, c30); c31 = dot(q, x, c31);
      }
      if (left <= Quantized.chain) break;
      if (left == k) {
        v128.store(parts, ended(c00, ones)); v128.store(parts, ended(c01, ones), 16);
        v128.store(parts, ended(c10, ones), 32); v128.store(parts, ended(c11, ones), 48);
        v128.store(parts, ended(c20, ones), 64); v128.store(parts, ended(c21, ones), 80);
        v128.store(parts, ended(c30, ones), 96); v128.store(parts, ended(c31, ones), 112);
      } else {
        v128.store(parts, i32x4.add(ended(c00, ones), v128.load(parts)));
        v128.store(parts, i32x4.add(ended(c01, ones), v128.load(parts, 16)), 16);
        v128.store(parts, i32x4.add(ended(c10, ones), v128.load(parts, 32)), 32);
        v128.store(parts, i32x4.add(ended(c11, ones), v128.load(parts, 48)), 48);
        v128.store(parts, i32x4.add(ended(c20, ones), v128.load(parts, 64)), 64);
        v128.store(parts, i32x4.add(ended(c21, ones), v128.load(parts, 80)), 80);
        v128.store(parts, i32x4.add(ended(c30, ones), v128.load(parts, 96)), 96);
        v128.store(parts, i32x4.add(ended(c31, ones), v128.load(parts, 112)), 112);
      }
    }
    x = pair(i32x4.add(ended(c00, ones), v128.load(parts)), i32x4.add(ended(c01, ones), v128.load(parts, 16)));
    v128.store(sums, x);
    x = pair(i32x4.add(ended(c10, ones), v128.load(parts, 32)), i32x4.add(ended(c11, ones), v128.load(parts, 48)));
    v128.store(sums, x, 32);
    x = pair(i32x4.add(ended(c20, ones), v128.load(parts, 64)), i32x4.add(ended(c21, ones), v128.load(parts, 80)));
    v128.store(sums, x, 64);
    x = pair(i32x4.add(ended(c30, ones), v128.load(parts, 96)), i32x4.add(ended(c31, ones), v128.load(parts, 112)));
    v128.store(sums, x, 96);
    w = v;
  }
}

/**
 * One row by four outputs: the same sums. Rows of weights one after another: they are met once, and memory is fetched ahead along
 * one run at the rate at which it can be read (four runs at once: a third of it).
 */
export function row(sums: usize, a: usize, w: usize, k: i32): void {
  if (!ASC_FEATURE_RELAXED_SIMD) return;
  const ones = v128.load(ONES), end = w + (<usize>k << 2);
  const s0 = sums_of(a, w, k, ones), s1 = sums_of(a, w + <usize>k, k, ones);
  const s2 = sums_of(a, end - 2 * <usize>k, k, ones), s3 = sums_of(a, end - <usize>k, k, ones);
  v128.store(sums, pair(s0, s1)); v128.store(sums, pair(s2, s3), 16);
}

/** One row by one output, in four sums. */
function sums_of(a: usize, w: usize, k: i32, ones: v128): v128 {
  let s = i32x4.splat(0);
  for (; k >= Quantized.chain; k -= Quantized.chain, w += Quantized.chain, a += 4 * Quantized.chain) {
    const c = dot(v128.load(w, 48), v128.load(a, 192), dot(v128.load(w, 32), v128.load(a, 128), dot(v128.load(w, 16), v128.load(a, 64), begin(v128.load(w), v128.load(a)))));
    const d = dot(v128.load(w, 112), v128.load(a, 448), dot(v128.load(w, 96), v128.load(a, 384), dot(v128.load(w, 80), v128.load(a, 320), begin(v128.load(w, 64), v128.load(a, 256)))));
    s = i32x4.add(s, ended(i16x8.add(c, d), ones));
  }
  if (!k) return s;
  let c = i16x8.splat(0);
  for (; k > 0; k -= 32, w += 32, a += 128) c = dot(v128.load(w, 16), v128.load(a, 64), dot(v128.load(w), v128.load(a), c));
  return i32x4.add(s, ended(c, ones));
}

/** `row` of weights as q4 keeps them, `stride` bytes from one row of them to the next, unpacked on the way. */
export function row_q4(sums: usize, a: usize, w: usize, stride: usize, k: i32): void {
  if (!ASC_FEATURE_RELAXED_SIMD) return;
  const ones = v128.load(ONES);
  const s0 = sums_of_q4(a, w, k, ones), s1 = sums_of_q4(a, w + stride, k, ones);
  const s2 = sums_of_q4(a, w + 2 * stride, k, ones), s3 = sums_of_q4(a, w + 3 * stride, k, ones);
  v128.store(sums, pair(s0, s1)); v128.store(sums, pair(s2, s3), 16);
}

function sums_of_q4(a: usize, w: usize, k: i32, ones: v128): v128 {
  const low = i8x16.splat(15), from = tables();
  let s = i32x4.splat(0), codes = w + <usize>(k >> 1);
  for (; k > 0; k -= Quantized.chain) {
    let c = i16x8.splat(0);
    for (const end = codes + <usize>(min<i32>(k, Quantized.chain) >> 4); codes < end; codes += 2, w += 16, a += 128) {
      const both = v128.load(w);
      c = dot(pick(v128.load(from + (<usize>load<u8>(codes) << 4)), v128.and(both, low)), v128.load(a), c);
      c = dot(pick(v128.load(from + (<usize>load<u8>(codes, 1) << 4)), i8x16.shr_u(both, 4)), v128.load(a, 64), c);
    }
    s = i32x4.add(s, ended(c, ones));
  }
  return s;
}

/** Whether `tile` takes the dot product that adds to 32 bits. */
let fused = false;

/**
 * Which of two forms the integer tiles take; both give the same sums. The dot product that adds is one instruction on ARM with dotprod
 * and on x64 with AVX-VNNI, three on other x64, where 16-bit chains are faster. A module cannot ask: the host tries (probe.ts).
 */
export function fuse_dots(on: bool): void {
  fused = on;
}

/** A vector of activations' share of weights, as they lie in memory: sixteen bytes, or eight that meet words. */
// @ts-ignore: decorator
@inline function weights(at: usize, words: bool): v128 {
  return words ? v128.load_ext<i8>(at) : v128.load(at);
}

/** Four sums of four products, or of two. u ≤ 127 and |q| ≤ 127 keep every intermediate result of any implementation exact. */
// @ts-ignore: decorator
@inline function add_dot(w: v128, a: v128, sum: v128, words: bool): v128 {
  if (ASC_FEATURE_RELAXED_SIMD) {
    if (!words) return i32x4.relaxed_dot_i8x16_i7x16_add_s(w, a, sum);
  }
  return i32x4.add(sum, i32x4.dot_i16x8_s(a, w));
}

/** As `tile` in sums of 32 bits from the start; `words`, of the activations, is known to the compiler. */
// @ts-ignore: decorator
@inline function plain_tile(sums: usize, a: usize, w: usize, k: i32, words: bool): void {
  const rows = a, step: usize = words ? 8 : 16;
  for (const end = sums + 32; sums < end; sums += 16) {
    let c00 = i32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
    a = rows;
    let v = w + <usize>k;
    for (const last = v; w < last; w += step, v += step, a += 64) {
      const p = weights(w, words), q = weights(v, words);
      let x = v128.load(a); c00 = add_dot(p, x, c00, words); c01 = add_dot(q, x, c01, words);
      x = v128.load(a, 16); c10 = add_dot(p, x, c10, words); c11 = add_dot(q, x, c11, words);
      x = v128.load(a, 32); c20 = add_dot(p, x, c20, words); c21 = add_dot(q, x, c21, words);
      x = v128.load(a, 48); c30 = add_dot(p, x, c30, words); c31 = add_dot(q, x, c31, words);
    }
    v128.store(sums, pair(c00, c01)); v128.store(sums, pair(c10, c11), 32);
    v128.store(sums, pair(c20, c21), 64); v128.store(sums, pair(c30, c31), 96);
    w = v;
  }
}

/**
 * As `tile` with activations of 16 bits: for q8_exact, and for all formats in the build without relaxed SIMD, where it gives the same
 * integers. Steps as short as can be: engines that place loads first (V8 before 12) would run out of registers.
 */
export function exact_tile(sums: usize, a: usize, w: usize, k: i32): void {
  plain_tile(sums, a, w, k, true);
}

/** As `row` with activations of 16 bits. */
export function exact_row(sums: usize, a: usize, w: usize, k: i32): void {
  let w1 = w + <usize>k, w2 = w1 + <usize>k, w3 = w2 + <usize>k;
  let c0 = i32x4.splat(0), c1 = c0, c2 = c0, c3 = c0;
  for (const end = w + <usize>k; w < end; w += 8, w1 += 8, w2 += 8, w3 += 8, a += 64) {
    const x = v128.load(a);
    c0 = add_dot(weights(w, true), x, c0, true); c1 = add_dot(weights(w1, true), x, c1, true);
    c2 = add_dot(weights(w2, true), x, c2, true); c3 = add_dot(weights(w3, true), x, c3, true);
  }
  v128.store(sums, pair(c0, c1)); v128.store(sums, pair(c2, c3), 16);
}
