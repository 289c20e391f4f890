import { Format, Quantized } from "../../src/graph/op";
import { pick } from "../lanes";
import { live } from "./rows";

/**
 * Weights and activations in integers. A row of weights W[n] is scale[n] · q[n, k]; a row of activations is lo + step · u[k], and so
 *
 *   x · W[n] = scale[n] · (step · Σ u·q + lo · Σ q),    Σ q kept beside the scale.
 *
 * q8: u in 0 … 127, q in -127 … 127 such that the q of one sign in one lane of a chain (16 products: k = 16i + 2j and 16i + 2j + 1 of 128
 *   k) sum up to 258 at most. So no sum of a chain leaves 16 bits whatever the activations are (258 · 127 = 32766), and i8 · u7 dot
 *   products with 16-bit results, "relaxed" or not, have one possible value.
 * q8_exact: u symmetric in 16 bits, |u| ≤ most_exact(k), lo = 0; q in -127 … 127. 127 · k · most_exact(k) < 2³¹.
 * q4: each 16 weights choose one of 256 tables of 16 integers (a byte), and each weight one of its numbers (four bits): 4.5 bits a weight. Sums are
 *   bounded as those of q8, which it is once it is unpacked. Tables: docs/decisions/0019.
 *
 * A row takes `row_bytes`. Rows of q8 hold their q in order. Rows of q4: for each 32 k 16 bytes, of which the low halves are for the
 * first 16 k, the high halves for the others; behind them all a byte for each 16 k, its table.
 */
export function row_bytes(k: i32, format: i32): i32 {
  return format == Format.q4 ? (whole(k) >> 4) * 9 : whole(k);
}

/** What makes the tables of q4. */
export namespace Q4 {
  /** The largest unit: its tables reach 127. */
  export const largest: f32 = 127.0 / 9.425;
  export const ratio: f32 = 1.08;
  export const cube: f32 = 0.4;
  export const step: f32 = 0.55;
}

/** k rounded up to whole steps. */
// @ts-ignore: decorator
@inline export function whole(k: i32): i32 {
  return (k + Quantized.step - 1) & -Quantized.step;
}

/** The largest |u| of q8_exact. */
// @ts-ignore: decorator
@inline function most_exact(k: i32): i32 {
  return min<i32>(32767, i32.MAX_VALUE / 127 / max(k, 1));
}

/**
 * 1.5 · 2²³: added to a number under 2²², it leaves that number, rounded half to even, in the low bits. Its own bits are then subtracted.
 * In memory: a v128.const is built anew at each use (V8).
 */
const ROUND: usize = memory.data<f32>([12582912]);
/** Set in the sum with ROUND only if that is inf or NaN. */
const BAD: i32 = 0x20000000;

/** step and lo of a row of activations: [rows][2] f32. */
// @ts-ignore: decorator
@inline function keep(at: usize, step: f32, lo: f32): void {
  store<f32>(at, step);
  store<f32>(at, lo, 4);
}

/** Least or largest of four lanes. */
// @ts-ignore: decorator
@inline function least(v: v128): f32 {
  v = f32x4.pmin(v, v128.shuffle<i32>(v, v, 2, 3, 0, 1));
  return min<f32>(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1));
}
// @ts-ignore: decorator
@inline export function most(v: v128): f32 {
  v = f32x4.pmax(v, v128.shuffle<i32>(v, v, 2, 3, 0, 1));
  return max<f32>(f32x4.extract_lane(v, 0), f32x4.extract_lane(v, 1));
}

/** Sixteen rounded numbers (as ROUND left them) as bytes or as words. The second vector of words lies behind those of the other rows. */
// @ts-ignore: decorator
@inline function put(out: usize, a: v128, b: v128, c: v128, d: v128, words: bool): void {
  const low = i16x8.narrow_i32x4_s(a, b), high = i16x8.narrow_i32x4_s(c, d);
  if (words) {
    v128.store(out, low);
    v128.store(out, high, 64);
  } else {
    v128.store(out, i8x16.narrow_i16x8_u(low, high));
  }
}

/**
 * One row of activations x[k] in integers; out: its vectors of 16 bytes, 64 bytes apart (four rows are interleaved), as bytes or as words;
 * params: where step and lo go. Vectors behind k hold what meets zeros of the weights. A row with a NaN or an infinity gives NaN.
 * The arithmetic is f32 without fused operations: the same integers in every build, on every engine.
 */
export function quantize_activations(out: usize, params: usize, x: usize, k: i32, exact: bool, words: bool): void {
  const full = k & -16, end = x + (<usize>full << 2), first = v128.load32_splat(x);
  let lo0 = first, lo1 = first, hi0 = first, hi1 = first;
  let at = x;
  for (; at < end; at += 64) {
    const a = v128.load(at), b = v128.load(at, 16), c = v128.load(at, 32), d = v128.load(at, 48);
    lo0 = f32x4.pmin(lo0, f32x4.pmin(a, b)); lo1 = f32x4.pmin(lo1, f32x4.pmin(c, d));
    hi0 = f32x4.pmax(hi0, f32x4.pmax(a, b)); hi1 = f32x4.pmax(hi1, f32x4.pmax(c, d));
  }
  for (let left = k - full; left > 0; left -= 4, at += 16) {
    const a = v128.bitselect(v128.load(at), first, live(left));
    lo0 = f32x4.pmin(lo0, a); hi0 = f32x4.pmax(hi0, a);
  }
  let lo = least(f32x4.pmin(lo0, lo1)), range: f32;
  const hi = most(f32x4.pmax(hi0, hi1)), most_u: i32 = exact ? most_exact(k) : 127, levels = <f32>most_u;
  if (exact) {
    range = max(hi, -lo);
    lo = 0;
  } else {
    range = hi - lo;
  }
  // A range whose inverse overflows is as good as none.
  const inverse = f32x4.splat(range < 1e-33 ? 0 : levels / range), from = f32x4.splat(lo);
  const round = v128.load32_splat(ROUND), to = out, stride: usize = words ? 128 : 64;
  let bad = i32x4.splat(0);
  for (at = x; at < end; at += 64, out += stride) {
    const a = f32x4.add(f32x4.mul(f32x4.sub(v128.load(at), from), inverse), round);
    const b = f32x4.add(f32x4.mul(f32x4.sub(v128.load(at, 16), from), inverse), round);
    const c = f32x4.add(f32x4.mul(f32x4.sub(v128.load(at, 32), from), inverse), round);
    const d = f32x4.add(f32x4.mul(f32x4.sub(v128.load(at, 48), from), inverse), round);
    bad = v128.or(bad, v128.or(v128.or(a, b), v128.or(c, d)));
    put(out, i32x4.sub(a, round), i32x4.sub(b, round), i32x4.sub(c, round), i32x4.sub(d, round), words);
  }
  for (let left = k - full; left > 0; left -= 4, at += 16) {
    const a = f32x4.add(f32x4.mul(f32x4.sub(v128.load(at), from), inverse), round);
    bad = v128.or(bad, v128.and(a, live(left)));
    const n = i16x8.narrow_i32x4_s(v128.and(i32x4.sub(a, round), live(left)), i32x4.splat(0));
    const place = (k - full - left) & -4;
    if (words) v128.store64_lane(out + (<usize>(place >> 3) << 6) + (<usize>(place & 7) << 1), n, 0);
    else v128.store32_lane(out + <usize>place, i8x16.narrow_i16x8_u(n, n), 0);
  }
  // What is left of the last vectors: old bytes there would be over 127.
  const filled = (k + 3) & -4, last = whole(k);
  for (let i = filled; i < last; i += 4) {
    if (words) store<u64>(to + (<usize>(i >> 3) << 6) + (<usize>(i & 7) << 1), 0);
    else store<u32>(to + (<usize>(i >> 4) << 6) + <usize>(i & 15), 0);
  }
  const finite = !v128.any_true(v128.and(bad, i32x4.splat(BAD)));
  keep(params, finite ? range / levels : NaN, lo);
}

/** The tables of q4, i8[256][16], made when they are first asked for. */
const TABLES: usize = memory.data(4096, 16);

/**
 * Table 8 · i + j holds unit[i] · (curve[p] + 0.55 · (j - 3.5)), p = 0 … 15, as integers: 32 sizes, each 1.08 times the one before, eight places of
 * the middle. The curve, 7.5 · (v + 0.4 · v³) / 1.4 with v = p / 7.5 - 1, is denser in the middle, as weights are.
 */
export function tables(): usize {
  if (load<u8>(TABLES, 4095)) return TABLES;
  let unit: f32 = Q4.largest;
  for (let size = 31; size >= 0; size--, unit *= 1 / Q4.ratio) {
    for (let middle = 0; middle < 8; middle++) {
      for (let p = 0; p < 16; p++) {
        const v: f32 = <f32>(p * 2 - 15) * <f32>(1.0 / 15.0), curve: f32 = <f32>7.5 / (<f32>1 + Q4.cube) * v * (<f32>1 + Q4.cube * v * v);
        store<i8>(TABLES + <usize>((size << 7) + (middle << 4) + p), <i8>nearest(unit * (curve + Q4.step * (<f32>middle - 3.5))));
      }
    }
  }
  return TABLES;
}

/** A row of q4 as bytes, as q8 has them. */
export function unpack_q4(out: usize, row: usize, k: i32): void {
  const last = whole(k), four = i8x16.splat(15), from = tables();
  let codes = row + <usize>(last >> 1);
  for (let i = 0; i < last; i += 32, row += 16, codes += 2, out += 32) {
    const both = v128.load(row);
    v128.store(out, pick(v128.load(from + (<usize>load<u8>(codes) << 4)), v128.and(both, four)));
    v128.store(out, pick(v128.load(from + (<usize>load<u8>(codes, 1) << 4)), i8x16.shr_u(both, 4)), 16);
  }
}

/** q of eight weights (i a multiple of 8) of a row of q4, as words. */
export function group_q4(row: usize, i: i32, k: i32): v128 {
  const code = <usize>load<u8>(row + <usize>(whole(k) >> 1) + <usize>(i >> 4));
  let p = v128.load64_zero(row + <usize>(i >> 5 << 4) + <usize>(i & 8));
  p = i & 16 ? i8x16.shr_u(p, 4) : v128.and(p, i8x16.splat(15));
  return i16x8.extend_low_i8x16_s(pick(v128.load(tables() + (code << 4)), p));
}
