import { Attention, Invisible } from "../../src/graph/op";
import { tanh } from "../numeric";
import { LANES, least_of, left_of, most_of, number, right_of, ROW, row_of, word } from "./attention_layout";
import { transpose } from "./transpose";

/** How much of a block a lane group sees. */
export const enum Sees {
  nothing = 0,
  some = 1,
  all = 2,
}

/** What of the keys first … first + keys - 1 the eight queries at `positions` see by their positions. */
export function sees(args: usize, sequence: i32, positions: usize, first: i32, keys: i32): Sees {
  let least = first, most = first + keys - 1;
  const k_positions = <usize>word(args, Attention.k_positions);
  if (k_positions) {
    const own = k_positions + (<usize>(row_of(args, Attention.k_offsets, sequence) + first) << 2);
    least = least_of(own, keys);
    most = most_of(own, keys);
    if (most <= Invisible.position && least_of(positions, LANES) > Invisible.position) return Sees.nothing;
  }
  const left = left_of(args), right = right_of(args), q_least = least_of(positions, LANES), q_most = most_of(positions, LANES);
  if (q_least <= Invisible.position) return Sees.some;
  if (most - q_least < left || least - q_most > right) return Sees.nothing;
  return least > Invisible.position && least - q_most >= left && most - q_least <= right ? Sees.all : Sees.some;
}

/** Whether scores of this op take more than a multiplication by scale. */
export function has_terms(args: usize): bool {
  return (word(args, Attention.softcap) | word(args, Attention.mask) | word(args, Attention.bias) | word(args, Attention.slopes)
    | word(args, Attention.c2p) | word(args, Attention.p2c)) != 0;
}

/**
 * Turns scale · q·k of eight queries (`query` … in their sequence, lanes past `last` repeat it) and a block of keys, [keys][8] in rows of
 * [24], in place into the softmax's logits: cap(scale · (q·k + c2p + p2c)) + mask + bias + slope · distance, or -inf where the positions
 * forbid (`positional`). One pass a term: they are rare, and the block stays in L1. terms: scratch f32[keys][8].
 */
export function logits(
  args: usize, scores: usize, terms: usize, sequence: i32, head: i32, query: i32, last: i32,
  positions: usize, first: i32, keys: i32, positional: bool,
): void {
  const q_row = row_of(args, Attention.q_offsets, sequence), k_row = row_of(args, Attention.k_offsets, sequence) + first;
  if (word(args, Attention.c2p) | word(args, Attention.p2c)) {
    disentangled(args, scores, head, q_row + query, q_row + last, positions, k_row, first, keys);
  }
  if (word(args, Attention.softcap)) {
    const cap = f32x4.splat(number(args, Attention.softcap));
    for (let at = scores, end = scores + <usize>keys * ROW; at < end; at += ROW) {
      v128.store(at, f32x4.mul(cap, tanh(f32x4.div(v128.load(at), cap))));
      v128.store(at, f32x4.mul(cap, tanh(f32x4.div(v128.load(at, 16), cap))), 16);
    }
  }
  if (word(args, Attention.mask)) mask(args, scores, terms, sequence, head, query, last, first, keys);
  if (positional || word(args, Attention.bias) | word(args, Attention.slopes)) {
    distances(args, scores, head, positions, k_row, first, keys, positional);
  }
}

function disentangled(
  args: usize, scores: usize, head: i32, q_row: i32, q_last: i32, positions: usize, k_row: i32, first: i32, keys: i32,
): void {
  const c2p = <usize>word(args, Attention.c2p), p2c = <usize>word(args, Attention.p2c);
  const ld = <usize>word(args, Attention.ld_rel) << 2, own = <usize>(head * word(args, Attention.rel_ld)) << 2;
  const span = word(args, Attention.rel_span), index = <usize>word(args, Attention.rel_index) + (<usize>span << 2);
  const k_positions = <usize>word(args, Attention.k_positions);
  const lanes = <usize>min(q_last - q_row, 7) << 2, rows = c2p + <usize>q_row * ld + own;
  const scale: f32 = number(args, Attention.scale);
  for (let key = 0, row = p2c + <usize>k_row * ld + own; key < keys; key++, row += ld, scores += ROW) {
    const k_position = k_positions ? load<i32>(k_positions + (<usize>(k_row + key) << 2)) : first + key;
    let from = rows;
    for (let lane: usize = 0; lane < 32; lane += 4) {
      const distance = load<i32>(positions + lane) - k_position;
      const at = <usize>load<i32>(index + (<usize>max(-span, min(span, distance)) << 2)) << 2;
      const c: f32 = c2p ? load<f32>(from + at) : 0, p: f32 = p2c ? load<f32>(row + at) : 0;
      store<f32>(scores + lane, load<f32>(scores + lane) + (c + p) * scale);
      if (lane < lanes) from += ld;
    }
  }
}

function mask(
  args: usize, scores: usize, terms: usize, sequence: i32, head: i32, query: i32, last: i32, first: i32, keys: i32,
): void {
  const stride = word(args, Attention.mask_query);
  const block = sequence * word(args, Attention.mask_batch) + head * word(args, Attention.mask_head) + query * stride + first;
  const at = <usize>word(args, Attention.mask) + (<usize>block << 2);
  if (stride) transpose(terms, at, <usize>stride << 2, last - query + 1, keys, 1);
  for (let key: usize = 0; key < <usize>keys; key++, scores += ROW) {
    const m0 = stride ? v128.load(terms + (key << 5)) : v128.load32_splat(at + (key << 2));
    const m1 = stride ? v128.load(terms + (key << 5), 16) : m0;
    v128.store(scores, f32x4.add(v128.load(scores), m0)); v128.store(scores, f32x4.add(v128.load(scores, 16), m1), 16);
  }
}

/** The terms that read how far a key lies from a query: relative-position bias, ALiBi, and who is seen. */
function distances(args: usize, scores: usize, head: i32, positions: usize, k_row: i32, first: i32, keys: i32, positional: bool): void {
  const q0 = v128.load(positions), q1 = v128.load(positions, 16), none = f32x4.splat(-Infinity);
  const k_positions = <usize>word(args, Attention.k_positions);
  const span = word(args, Attention.bias_span), low = i32x4.splat(-span), high = i32x4.splat(span);
  const table = word(args, Attention.bias) ? <usize>word(args, Attention.bias) + (<usize>(head * (2 * span + 1) + span) << 2) : 0;
  const slopes = <usize>word(args, Attention.slopes);
  const slope = f32x4.splat(slopes ? load<f32>(slopes + (<usize>head << 2)) : 0);
  const left = i32x4.splat(left_of(args)), right = i32x4.splat(right_of(args));
  // A query of its own at no place: every key counts alike.
  const even0 = i32x4.le_s(q0, i32x4.splat(Invisible.position)), even1 = i32x4.le_s(q1, i32x4.splat(Invisible.position));
  for (let key = 0; key < keys; key++, scores += ROW) {
    const k_position = k_positions ? load<i32>(k_positions + (<usize>(k_row + key) << 2)) : first + key;
    const k = i32x4.splat(k_position), d0 = i32x4.sub(k, q0), d1 = i32x4.sub(k, q1);
    let s0 = v128.load(scores), s1 = v128.load(scores, 16);
    if (table) {
      s0 = f32x4.add(s0, gather(table, i32x4.max_s(low, i32x4.min_s(high, d0))));
      s1 = f32x4.add(s1, gather(table, i32x4.max_s(low, i32x4.min_s(high, d1))));
    }
    if (slopes) {
      s0 = f32x4.add(s0, f32x4.mul(slope, f32x4.convert_i32x4_s(d0)));
      s1 = f32x4.add(s1, f32x4.mul(slope, f32x4.convert_i32x4_s(d1)));
    }
    if (positional) {
      const seen = i32x4.splat(k_position > Invisible.position ? -1 : 0);
      s0 = v128.andnot(v128.bitselect(s0, none, v128.and(seen, v128.and(i32x4.ge_s(d0, left), i32x4.le_s(d0, right)))), even0);
      s1 = v128.andnot(v128.bitselect(s1, none, v128.and(seen, v128.and(i32x4.ge_s(d1, left), i32x4.le_s(d1, right)))), even1);
    }
    v128.store(scores, s0); v128.store(scores, s1, 16);
  }
}

// @ts-ignore: decorator
@inline function gather(table: usize, index: v128): v128 {
  const at = i32x4.shl(index, 2);
  let v = v128.load32_zero(table + <usize>i32x4.extract_lane(at, 0));
  v = v128.load_lane<f32>(table + <usize>i32x4.extract_lane(at, 1), v, 1);
  v = v128.load_lane<f32>(table + <usize>i32x4.extract_lane(at, 2), v, 2);
  return v128.load_lane<f32>(table + <usize>i32x4.extract_lane(at, 3), v, 3);
}
