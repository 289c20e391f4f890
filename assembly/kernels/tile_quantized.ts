import { Quantized } from "../../src/graph/op";

/**
 * Tiles of integer dot products: sums[row][output] are vectors of four i32 whose lanes add up to Σ u·q.
 *
 * a: four rows of activations interleaved by vectors of 16 bytes. w: rows of bytes, `stride` apart. k a multiple of 32.
 */

const ONES: usize = memory.data<i16>([1, 1, 1, 1, 1, 1, 1, 1]);

/** Eight sums of two products of i8 (w) and u7 (a): |sum| ≤ 2 · 127 · 127 fits 16 bits, so this has one possible result. */
// @ts-ignore: decorator
@inline function dot(w: v128, a: v128, sum: v128): v128 {
  return i16x8.add(sum, i16x8.relaxed_dot_i8x16_i7x16_s(w, a));
}
// @ts-ignore: decorator
@inline function begin(w: v128, a: v128): v128 {
  return i16x8.relaxed_dot_i8x16_i7x16_s(w, a);
}

/** Ends a chain: what its pairs of sums add up to. */
// @ts-ignore: decorator
@inline function ended(sum: v128, ones: v128): v128 {
  return i32x4.dot_i16x8_s(sum, ones);
}

/**
 * Four rows by two outputs in 16-bit chains of Quantized.chain k, for q8 and q4: sums of output o at `sums` + 16 o, rows 64 bytes apart.
 * Two 16-bit additions and dots keep an x64 core's vector ports busier than widening each product does (docs/decisions/0010).
 */
export function tile(sums: usize, a: usize, w: usize, stride: usize, k: i32): void {
  if (!ASC_FEATURE_RELAXED_SIMD) return;
  if (fused) return fused_tile(sums, a, w, stride, k);
  const ones = v128.load(ONES), start = w, last = w + <usize>k;
  let v = w + stride;
  while (w < last) {
    const first = w == start, end = min(w + Quantized.chain, last);
    let p = v128.load(w), q = v128.load(v);
    let x = v128.load(a), c00 = begin(p, x), c01 = begin(q, x);
    x = v128.load(a, 16); let c10 = begin(p, x), c11 = begin(q, x);
    x = v128.load(a, 32); let c20 = begin(p, x), c21 = begin(q, x);
    x = v128.load(a, 48); let c30 = begin(p, x), c31 = begin(q, x);
    p = v128.load(w, 16); q = v128.load(v, 16);
    x = v128.load(a, 64); c00 = dot(p, x, c00); c01 = dot(q, x, c01);
    x = v128.load(a, 80); c10 = dot(p, x, c10); c11 = dot(q, x, c11);
    x = v128.load(a, 96); c20 = dot(p, x, c20); c21 = dot(q, x, c21);
    x = v128.load(a, 112); c30 = dot(p, x, c30); c31 = dot(q, x, c31);
    w += 32; v += 32; a += 128;
    for (; w < end; w += 32, v += 32, a += 128) {
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
    if (first) {
      v128.store(sums, ended(c00, ones)); v128.store(sums, ended(c01, ones), 16);
      v128.store(sums, ended(c10, ones), 64); v128.store(sums, ended(c11, ones), 80);
      v128.store(sums, ended(c20, ones), 128); v128.store(sums, ended(c21, ones), 144);
      v128.store(sums, ended(c30, ones), 192); v128.store(sums, ended(c31, ones), 208);
    } else {
      v128.store(sums, i32x4.add(ended(c00, ones), v128.load(sums))); v128.store(sums, i32x4.add(ended(c01, ones), v128.load(sums, 16)), 16);
      v128.store(sums, i32x4.add(ended(c10, ones), v128.load(sums, 64)), 64); v128.store(sums, i32x4.add(ended(c11, ones), v128.load(sums, 80)), 80);
      v128.store(sums, i32x4.add(ended(c20, ones), v128.load(sums, 128)), 128); v128.store(sums, i32x4.add(ended(c21, ones), v128.load(sums, 144)), 144);
      v128.store(sums, i32x4.add(ended(c30, ones), v128.load(sums, 192)), 192); v128.store(sums, i32x4.add(ended(c31, ones), v128.load(sums, 208)), 208);
    }
  }
}

/** One row by four outputs: the same sums. */
export function row(sums: usize, a: usize, w: usize, stride: usize, k: i32): void {
  if (!ASC_FEATURE_RELAXED_SIMD) return;
  const ones = v128.load(ONES), last = w + <usize>k;
  let w1 = w + stride, w2 = w1 + stride, w3 = w2 + stride;
  let s0 = i32x4.splat(0), s1 = s0, s2 = s0, s3 = s0;
  while (w < last) {
    const end = min(w + Quantized.chain, last);
    let c0 = i16x8.splat(0), c1 = c0, c2 = c0, c3 = c0;
    for (; w < end; w += 32, w1 += 32, w2 += 32, w3 += 32, a += 128) {
      const x = v128.load(a), y = v128.load(a, 64);
      c0 = dot(v128.load(w, 16), y, dot(v128.load(w), x, c0));
      c1 = dot(v128.load(w1, 16), y, dot(v128.load(w1), x, c1));
      c2 = dot(v128.load(w2, 16), y, dot(v128.load(w2), x, c2));
      c3 = dot(v128.load(w3, 16), y, dot(v128.load(w3), x, c3));
    }
    s0 = i32x4.add(s0, i32x4.dot_i16x8_s(c0, ones)); s1 = i32x4.add(s1, i32x4.dot_i16x8_s(c1, ones));
    s2 = i32x4.add(s2, i32x4.dot_i16x8_s(c2, ones)); s3 = i32x4.add(s3, i32x4.dot_i16x8_s(c3, ones));
  }
  v128.store(sums, s0); v128.store(sums, s1, 16); v128.store(sums, s2, 32); v128.store(sums, s3, 48);
}

/** Whether `tile` takes the dot product that adds to 32 bits. */
let fused = false;

/**
 * Which of two forms the integer tiles take; both give the same sums. The dot product that adds is one instruction on ARM with dotprod
 * and on x64 with AVX-VNNI, three on other x64, where 16-bit chains are faster. A module cannot ask: the host tries (engine.ts).
 */
export function fuse_dots(on: bool): void {
  fused = on;
}

/** Four sums of four products. u ≤ 127 and |q| ≤ 127 keep every intermediate result of any implementation exact. */
// @ts-ignore: decorator
@inline function quad(w: v128, a: v128, sum: v128): v128 {
  return i32x4.relaxed_dot_i8x16_i7x16_add_s(w, a, sum);
}

function fused_tile(sums: usize, a: usize, w: usize, stride: usize, k: i32): void {
  if (!ASC_FEATURE_RELAXED_SIMD) return;
  let c00 = i32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
  let v = w + stride;
  for (const end = w + <usize>k; w < end; w += 16, v += 16, a += 64) {
    const p = v128.load(w), q = v128.load(v);
    let x = v128.load(a); c00 = quad(p, x, c00); c01 = quad(q, x, c01);
    x = v128.load(a, 16); c10 = quad(p, x, c10); c11 = quad(q, x, c11);
    x = v128.load(a, 32); c20 = quad(p, x, c20); c21 = quad(q, x, c21);
    x = v128.load(a, 48); c30 = quad(p, x, c30); c31 = quad(q, x, c31);
  }
  v128.store(sums, c00); v128.store(sums, c01, 16); v128.store(sums, c10, 64); v128.store(sums, c11, 80);
  v128.store(sums, c20, 128); v128.store(sums, c21, 144); v128.store(sums, c30, 192); v128.store(sums, c31, 208);
}

/** Eight activations of 16 bits with eight weights. */
// @ts-ignore: decorator
@inline function wide(w: v128, a: v128, sum: v128): v128 {
  return i32x4.add(sum, i32x4.dot_i16x8_s(a, w));
}

/** As `tile` with activations of 16 bits: for q8_exact, and for all formats in the build without relaxed SIMD, where it gives the same integers. */
export function exact_tile(sums: usize, a: usize, w: usize, stride: usize, k: i32): void {
  let c00 = i32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
  let v = w + stride;
  for (const end = w + <usize>k; w < end; w += 16, v += 16, a += 128) {
    let p = v128.load_ext<i8>(w), q = v128.load_ext<i8>(v);
    let x = v128.load(a); c00 = wide(p, x, c00); c01 = wide(q, x, c01);
    x = v128.load(a, 16); c10 = wide(p, x, c10); c11 = wide(q, x, c11);
    x = v128.load(a, 32); c20 = wide(p, x, c20); c21 = wide(q, x, c21);
    x = v128.load(a, 48); c30 = wide(p, x, c30); c31 = wide(q, x, c31);
    p = v128.load_ext<i8>(w, 8); q = v128.load_ext<i8>(v, 8);
    x = v128.load(a, 64); c00 = wide(p, x, c00); c01 = wide(q, x, c01);
    x = v128.load(a, 80); c10 = wide(p, x, c10); c11 = wide(q, x, c11);
    x = v128.load(a, 96); c20 = wide(p, x, c20); c21 = wide(q, x, c21);
    x = v128.load(a, 112); c30 = wide(p, x, c30); c31 = wide(q, x, c31);
  }
  v128.store(sums, c00); v128.store(sums, c01, 16); v128.store(sums, c10, 64); v128.store(sums, c11, 80);
  v128.store(sums, c20, 128); v128.store(sums, c21, 144); v128.store(sums, c30, 192); v128.store(sums, c31, 208);
}

/** As `row` with activations of 16 bits. */
export function exact_row(sums: usize, a: usize, w: usize, stride: usize, k: i32): void {
  let w1 = w + stride, w2 = w1 + stride, w3 = w2 + stride;
  let c0 = i32x4.splat(0), c1 = c0, c2 = c0, c3 = c0;
  for (const end = w + <usize>k; w < end; w += 8, w1 += 8, w2 += 8, w3 += 8, a += 64) {
    const x = v128.load(a);
    c0 = wide(v128.load_ext<i8>(w), x, c0); c1 = wide(v128.load_ext<i8>(w1), x, c1);
    c2 = wide(v128.load_ext<i8>(w2), x, c2); c3 = wide(v128.load_ext<i8>(w3), x, c3);
  }
  v128.store(sums, c0); v128.store(sums, c1, 16); v128.store(sums, c2, 32); v128.store(sums, c3, 48);
}
