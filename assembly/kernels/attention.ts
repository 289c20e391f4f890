import { Attention, AttentionScratch, Invisible, Record } from "../../src/graph/op";
import { TILE_ROWS } from "../lanes";
import {
  k_end, KEYS, LANES, least_of, left_of, LOWEST, MAXIMUM, most_of, NEXT, number, PACKED, POSITIONS, QUERIES, RESCALE, right_of, ROW, row_of,
  SCORES, SPAN, SUM, TERMS, word,
} from "./attention_layout";
import { attend_one } from "./attention_one";
import { pack_values, score, values } from "./attention_products";
import { has_terms, logits, Sees, sees } from "./attention_scores";
import { close, close_tap, largest, softmax, softmax_nothing } from "./attention_softmax";
import { pack_tile } from "./tile";
import { transpose, transpose_back } from "./transpose";

/**
 * out[q, head] = softmax(logits(q, k)) · v for the q rows first … last - 1 of all sequences, every option of `Attention`
 * (src/graph/op.ts), with logit = cap(scale · (q·k + c2p + p2c)) + mask + bias + slope · distance, and -inf where the positions forbid.
 *
 * Tiled as in FlashAttention (arXiv:2205.14135) with an online softmax (arXiv:1805.02867): memory does not grow with length.
 * Queries lie in lanes up to the probabilities, so nothing is summed across lanes, and every lane is on its own: a row's bits
 * depend on its own sequence alone, however rows are cut into ranges. Key blocks lie at fixed places of the sequence; keys that a
 * query does not see change no bit of it. A query that sees no key gives zeros, in out as in the tap. A mask of the least float swallows the
 * scores and stays finite, so that a row of them weighs all keys alike.
 *
 * args: the op's record. Aliasing: out, tap and scratch overlap nothing. scratch: 64-byte aligned,
 * 3698 + 288 · head_dim + 288 · (value_dim rounded up to 8) floats. Columns of out behind the last head, up to a multiple of 8, become 0.
 * Reads up to 12 bytes behind q, k and mask and 28 behind v, what they hold reaches no result; nothing outside the tables.
 * Sums are f32: over head_dim in one chain; over keys in chains of 96, then one of these. Against f64, with unit-normal q, k, v and
 * 128 to 2048 keys: |error| of out < 1.2e-6, 5e-8 root mean square, of a probability < 3e-7; it grows with the scores' size, whose
 * rounding is its largest part. Ranges that are cut at multiples of 24 rows waste nothing.
 */
export function attention(args: usize, first: i32, last: i32): void {
  if (PACKED + (3 * 6 << 2) != AttentionScratch.fixed * 4 || SPAN + KEYS != AttentionScratch.each) ERROR("src/graph/op.ts states another size of scratch");
  const sequences = word(args, Attention.sequences), heads = word(args, Attention.heads);
  const cols = heads * word(args, Attention.value_dim), ldo = word(args, Attention.ldo);
  for (let sequence = 0; sequence < sequences; sequence++) {
    const start = row_of(args, Attention.q_offsets, sequence);
    const from = max(first, start) - start, to = min(last, row_of(args, Attention.q_offsets, sequence + 1)) - start;
    if (from >= to) continue;
    for (let head = 0; head < heads; head++) {
      for (let query = from; query < to; query += SPAN) attend(args, sequence, head, query, min(SPAN, to - query));
    }
    if (cols & 7) {
      for (let row = start + from; row < start + to; row++) {
        memory.fill(<usize>word(args, Record.out) + (<usize>(row * ldo + cols) << 2), 0, <usize>(-cols & 7) << 2);
      }
    }
  }
}

/** Sets the state of the queries before the first key. Lanes behind the last query repeat it. */
function open(args: usize, sequence: i32, head: i32, query: i32, queries: i32, q_row: i32, behind: i32, positions: bool): void {
  const scratch = <usize>word(args, Attention.scratch), q_positions = <usize>word(args, Attention.q_positions);
  const sinks = <usize>word(args, Attention.sinks), sink: f32 = sinks ? load<f32>(sinks + (<usize>head << 2)) : -Infinity;
  const maximum = f32x4.splat(max(sink, LOWEST)), sum = f32x4.splat(sink >= LOWEST ? 1 : 0);
  for (let at = scratch, end = scratch + (<usize>whole(queries) << 2); at < end; at += 16) {
    v128.store(at, maximum, MAXIMUM); v128.store(at, sum, SUM);
  }
  for (let i = 0; positions && i < whole(queries); i++) {
    const own = min(i, queries - 1);
    store<i32>(scratch + (<usize>i << 2), q_positions ? load<i32>(q_positions + (<usize>(q_row + own) << 2)) : query + own + behind, POSITIONS);
  }
  const head_dim = word(args, Attention.head_dim), ldq = <usize>word(args, Attention.ldq) << 2;
  const q = <usize>word(args, Attention.q) + <usize>q_row * ldq + (<usize>(head * head_dim) << 2), packed = scratch + PACKED;
  const scale: f32 = number(args, Attention.scale);
  for (let i = 0; i < queries; i += LANES) {
    transpose(packed + <usize>(i * head_dim << 2), q + <usize>i * ldq, ldq, min(LANES, queries - i), head_dim, scale);
  }
}

/** Whole lane groups. */
// @ts-ignore: decorator
@inline function whole(n: i32): i32 {
  return n + 7 & -8;
}

/** One head of up to 192 queries of one sequence, `query` counted in it. */
function attend(args: usize, sequence: i32, head: i32, query: i32, queries: i32): void {
  const head_dim = word(args, Attention.head_dim), value_dim = word(args, Attention.value_dim);
  const q_start = row_of(args, Attention.q_offsets, sequence), q_count = row_of(args, Attention.q_offsets, sequence + 1) - q_start;
  const k_start = row_of(args, Attention.k_offsets, sequence), k_count = k_end(args, sequence) - k_start;
  const kv_head = head / (word(args, Attention.heads) / word(args, Attention.kv_heads));
  const ldk = <usize>word(args, Attention.ldk) << 2, ldv = <usize>word(args, Attention.ldv) << 2;
  const k = <usize>word(args, Attention.k) + <usize>k_start * ldk + (<usize>(kv_head * head_dim) << 2);
  const v = <usize>word(args, Attention.v) + <usize>k_start * ldv + (<usize>(kv_head * value_dim) << 2);
  const scratch = <usize>word(args, Attention.scratch), scores = scratch + SCORES, next = scratch + NEXT;
  const packed_q = scratch + PACKED, sums = packed_q + <usize>(SPAN * head_dim << 2);
  // Keys last: packing them writes whole vectors, up to 3 · TILE_ROWS floats behind.
  const packed_v = sums + <usize>(SPAN * whole(value_dim) << 2), packed_k = packed_v + <usize>(KEYS * whole(value_dim) << 2);

  // One tile alone reads values once a block: they stay where they are.
  const shared = queries > QUERIES;
  let tap = <usize>word(args, Attention.tap);
  const tap_ld = <usize>k_count << 2;
  if (tap) {
    const offset = load<i32>(<usize>word(args, Attention.tap_offsets) + (<usize>sequence << 2));
    tap += <usize>(offset + (head * q_count + query) * k_count) << 2;
  }

  const k_positions = word(args, Attention.k_positions), left = left_of(args), right = right_of(args), terms = has_terms(args);
  const bounded = k_positions != 0 || left != i32.MIN_VALUE || right != i32.MAX_VALUE;
  if (queries == 1 && !(tap | k_positions) && !terms) {
    const q_positions = <usize>word(args, Attention.q_positions), q_row = q_start + query;
    const position = q_positions ? load<i32>(q_positions + (<usize>q_row << 2)) : query + k_count - q_count;
    // Of keys that lie in order a window leaves a range.
    if (position > Invisible.position) {
      const from = left == i32.MIN_VALUE ? 0 : min(k_count, max(0, position + left));
      const to = right == i32.MAX_VALUE ? k_count : max(from, min(k_count, position + right + 1));
      const sinks = <usize>word(args, Attention.sinks), sink: f32 = sinks ? load<f32>(sinks + (<usize>head << 2)) : -Infinity;
      const out = <usize>word(args, Record.out) + ((<usize>q_row * word(args, Attention.ldo) + <usize>(head * value_dim)) << 2);
      const q = <usize>word(args, Attention.q) + ((<usize>q_row * word(args, Attention.ldq) + <usize>(head * head_dim)) << 2);
      return attend_one(out, q, k, v, scratch, from, to, head_dim, value_dim, ldk, ldv, number(args, Attention.scale), sink);
    }
  }
  open(args, sequence, head, query, queries, q_start + query, k_count - q_count, terms || bounded);
  // Where all is seen, the first block finds no sums to add to.
  if (bounded || k_count == 0) {
    for (let col = 0; col < value_dim; col += 8) memory.fill(sums + <usize>(col * SPAN << 2), 0, <usize>queries << 5);
  }

  // Keys without positions of their own lie in order: leave out what none of the queries' windows reaches.
  let from = 0, to = k_count;
  if (!k_positions) {
    if (left != i32.MIN_VALUE) from = min(to, max(from, least_of(scratch + POSITIONS, queries) + left));
    if (right != i32.MAX_VALUE) to = max(from, min(to, most_of(scratch + POSITIONS, queries) + right + 1));
  }

  for (let key = from, end = 0; key < to; key = end) {
    end = min(to, key - key % KEYS + KEYS);
    const keys = end - key;
    let packed = false;
    for (let first = 0; first < queries; first += QUERIES) {
      const last = min(queries, first + QUERIES);
      let seen = false;
      for (let i = first; i < last; i += LANES) {
        const state = scratch + (<usize>i << 2), own = scores + (<usize>(i - first) << 2), rescale = scratch + RESCALE + (<usize>(i - first) << 2);
        const what = bounded ? sees(args, sequence, state + POSITIONS, key, keys) : Sees.all;
        if (what == Sees.nothing && !tap) {
          softmax_nothing(own, keys, rescale);
          continue;
        }
        if (!packed) {
          for (let j = 0; j < keys; j += TILE_ROWS) {
            pack_tile(packed_k + <usize>(j * head_dim << 2), k + <usize>(key + j) * ldk, ldk, min(TILE_ROWS, keys - j), head_dim);
          }
          if (shared) pack_values(packed_v, v + <usize>key * ldv, ldv, keys, value_dim);
        }
        packed = seen = true;
        score(own, packed_k, packed_q + <usize>(i * head_dim << 2), keys, head_dim, state + MAXIMUM, next);
        if (terms || what != Sees.all) {
          logits(args, own, scratch + TERMS, sequence, head, query + i, query + queries - 1, state + POSITIONS, key, keys, what != Sees.all);
          largest(own, keys, state + MAXIMUM, next);
        }
        if (tap) transpose_back(tap + <usize>i * tap_ld + (<usize>key << 2), tap_ld, own, ROW, min(LANES, queries - i), keys);
        softmax(own, keys, state + MAXIMUM, next, state + SUM, rescale);
      }
      if (!seen) continue;
      for (let col = 0; col < value_dim; col += 8) {
        const own = shared ? packed_v + <usize>(col * KEYS << 2) : v + <usize>key * ldv + (<usize>col << 2);
        for (let i = first; i < last; i += TILE_ROWS) {
          const at = <usize>(i - first) << 2;
          values(sums + (<usize>(col * SPAN + i * 8) << 2), scratch + RESCALE + at, scores + at, own, shared ? 32 : ldv, keys, !bounded && key == 0);
        }
      }
    }
  }

  const ldo = <usize>word(args, Attention.ldo) << 2;
  let out = <usize>word(args, Record.out) + <usize>(q_start + query) * ldo + (<usize>(head * value_dim) << 2);
  for (let i = 0; i < queries; i++, out += ldo) {
    const state = scratch + (<usize>i << 2), sum = load<f32>(state, SUM), inverse: f32 = sum > 0 ? 1 / sum : 0;
    close(out, sums + (<usize>i << 5), value_dim, inverse);
    if (tap) close_tap(tap + <usize>i * tap_ld, k_count, from, to, load<f32>(state, MAXIMUM), inverse);
  }
}
