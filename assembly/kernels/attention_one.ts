import { fma } from "../lanes";
import { KEYS, LOWEST } from "./attention_layout";
import { power_row } from "./attention_softmax";

/**
 * out[value_dim] = softmax(scale · k · q) · v of one query and the keys first … last - 1, all of which it sees: what a step of a decoder asks for.
 *
 * The same sums in the same order as the tiles' (attention_products.ts, attention_softmax.ts), and so the same bits: lanes are keys where those
 * have queries, and columns of the values where those have them too. Keys lie as they are kept, a row each: four by four they are turned in registers.
 *
 * k, v: row 0 of the head, with strides in bytes.  Reads up to 12 bytes behind a row of q and k, 28 behind one of v.
 * scratch: head_dim + 3 floats, 96 + 8, then value_dim, each rounded up to whole vectors of 8.
 */
export function attend_one(
  out: usize, q: usize, k: usize, v: usize, scratch: usize, first: i32, last: i32, head_dim: i32, value_dim: i32, ldk: usize, ldv: usize,
  scale: f32, sink: f32,
): void {
  const scaled = scratch, p = scaled + (<usize>(head_dim + 7 & -8) << 2), sums = p + (<usize>(KEYS + 8) << 2), width = <usize>(value_dim + 7 & -8) << 2;
  const factor = f32x4.splat(scale);
  for (let at: usize = 0, end = <usize>head_dim << 2; at < end; at += 16) v128.store(scaled + at, f32x4.mul(v128.load(q + at), factor));
  memory.fill(sums, 0, width);
  let maximum: f32 = max(sink, LOWEST), sum: f32 = sink >= LOWEST ? 1 : 0;
  for (let key = first, end = 0; key < last; key = end) {
    end = min(last, key - key % KEYS + KEYS);
    const count = end - key;
    let most = f32x4.splat(maximum);
    for (let i = 0; i < count; i += 8) most = f32x4.pmax(most, score(p + (<usize>i << 2), scaled, k + <usize>(key + i) * ldk, ldk, count - i, head_dim));
    most = f32x4.pmax(most, v128.shuffle<i32>(most, most, 2, 3, 0, 1));
    const next = max<f32>(f32x4.extract_lane(most, 0), f32x4.extract_lane(most, 1));
    const rescale = power_row(p, count, maximum, next);
    let total: f32 = 0;
    for (let at = p, stop = p + (<usize>count << 2); at < stop; at += 4) total += load<f32>(at);
    sum = f32x4.extract_lane(fma(f32x4.splat(sum), rescale, f32x4.splat(total)), 0);
    maximum = next;
    let col: usize = 0;
    const own = v + <usize>key * ldv;
    for (; col + 64 <= width; col += 64) values(sums + col, rescale, p, own + col, ldv, count, true);
    if (col < width) values(sums + col, rescale, p, own + col, ldv, count, false);
  }
  const inverse: f32 = sum > 0 ? 1 / sum : 0;
  for (let at: usize = 0, end = <usize>value_dim << 2; at < end; at += 4) store<f32>(out + at, load<f32>(sums + at) * inverse);
}

/** The scores of eight keys, of which `keys` are there: the others repeat the last. Returns the larger of each two. */
// @ts-ignore: decorator
@inline function score(p: usize, q: usize, k: usize, ld: usize, keys: i32, dim: i32): v128 {
  const k1 = keys > 1 ? k + ld : k, k2 = keys > 2 ? k1 + ld : k1, k3 = keys > 3 ? k2 + ld : k2;
  const k4 = keys > 4 ? k3 + ld : k3, k5 = keys > 5 ? k4 + ld : k4, k6 = keys > 6 ? k5 + ld : k5, k7 = keys > 7 ? k6 + ld : k6;
  let a = f32x4.splat(0), b = a;
  for (let at: usize = 0, left = dim; left > 0; left -= 4, at += 16) {
    a = four(a, q + at, v128.load(k + at), v128.load(k1 + at), v128.load(k2 + at), v128.load(k3 + at), left);
    b = four(b, q + at, v128.load(k4 + at), v128.load(k5 + at), v128.load(k6 + at), v128.load(k7 + at), left);
  }
  v128.store(p, a); v128.store(p, b, 16);
  return f32x4.pmax(a, b);
}

/** c + the products of up to four numbers of q with those of four keys, one after another. */
// @ts-ignore: decorator
@inline function four(c: v128, q: usize, x0: v128, x1: v128, x2: v128, x3: v128, left: i32): v128 {
  const a = v128.shuffle<f32>(x0, x1, 0, 4, 1, 5), A = v128.shuffle<f32>(x0, x1, 2, 6, 3, 7);
  const b = v128.shuffle<f32>(x2, x3, 0, 4, 1, 5), B = v128.shuffle<f32>(x2, x3, 2, 6, 3, 7);
  c = fma(v128.shuffle<f32>(a, b, 0, 1, 4, 5), v128.load32_splat(q), c);
  if (left > 1) c = fma(v128.shuffle<f32>(a, b, 2, 3, 6, 7), v128.load32_splat(q, 4), c);
  if (left > 2) c = fma(v128.shuffle<f32>(A, B, 0, 1, 4, 5), v128.load32_splat(q, 8), c);
  if (left > 3) c = fma(v128.shuffle<f32>(A, B, 2, 3, 6, 7), v128.load32_splat(q, 12), c);
  return c;
}

/** c = c · rescale + p · v for eight columns, or sixteen. */
// @ts-ignore: decorator
@inline function values(c: usize, rescale: v128, p: usize, v: usize, ld: usize, keys: i32, wide: bool): void {
  let c0 = f32x4.splat(0), c1 = c0, c2 = c0, c3 = c0;
  for (const end = p + (<usize>keys << 2); p < end; p += 4, v += ld) {
    const s = v128.load32_splat(p);
    c0 = fma(s, v128.load(v), c0); c1 = fma(s, v128.load(v, 16), c1);
    if (wide) {
      c2 = fma(s, v128.load(v, 32), c2); c3 = fma(s, v128.load(v, 48), c3);
    }
  }
  v128.store(c, fma(v128.load(c), rescale, c0)); v128.store(c, fma(v128.load(c, 16), rescale, c1), 16);
  if (wide) {
    v128.store(c, fma(v128.load(c, 32), rescale, c2), 32); v128.store(c, fma(v128.load(c, 48), rescale, c3), 48);
  }
}
