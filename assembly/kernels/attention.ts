import { Attention, AttentionScratch, Record } from "../../src/graph/op";
import { TILE_ROWS } from "../lanes";
import {
  KEYS, LANES, least_of, left_of, MAXIMUM, most_of, number, PACKED, POSITIONS, PROBABILITIES, QUERIES, RESCALE, right_of, row_of, SCORES,
  SUM, TERMS, word,
} from "./attention_layout";
import { has_terms, logits, Sees, sees } from "./attention_scores";
import { close, close_tap, LOWEST, softmax, softmax_nothing, values } from "./attention_softmax";
import { tile } from "./tile";
import { transpose, transpose_back } from "./transpose";

/**
 * out[q, head] = softmax(logits(q, k)) · v for the q rows first … last - 1 of all sequences, every option of `Attention`
 * (src/graph/op.ts), with logit = cap(scale · (q·k + c2p + p2c)) + mask + bias + slope · distance, and -inf where the positions forbid.
 *
 * Tiled as in FlashAttention (arXiv:2205.14135) with an online softmax (arXiv:1805.02867): memory does not grow with length.
 * Queries lie in lanes up to the probabilities, so nothing is summed across lanes, and every lane is on its own: a row's bits
 * depend on its own sequence alone, however rows are cut into ranges. Key blocks lie at fixed places of the sequence; keys that a
 * query does not see change no bit of it. A query that sees no key gives zeros, in out as in the tap.
 *
 * args: the op's record. Aliasing: out, tap and scratch overlap nothing. scratch: 64-byte aligned,
 * 3936 + 24 · head_dim + 24 · (value_dim rounded up to 8) floats. Columns of out behind the last head, up to a multiple of 8, become 0.
 * Reads up to 12 bytes behind q and mask and 28 behind v, what they hold reaches no result; nothing outside k and the tables.
 * Sums are f32: over head_dim in one chain; over keys in chains of 96, then one of these. Against f64, with unit-normal q, k, v and
 * 128 to 2048 keys: |error| of out < 5e-7, of a probability < 2e-7; it grows with the scores' size, whose rounding is its largest part.
 * Ranges that are cut at multiples of 24 rows waste nothing.
 */
export function attention(args: usize, first: i32, last: i32): void {
  if (PACKED != AttentionScratch.fixed * 4 || QUERIES != AttentionScratch.each) ERROR("src/graph/op.ts states another size of scratch");
  const sequences = word(args, Attention.sequences), heads = word(args, Attention.heads);
  const cols = heads * word(args, Attention.value_dim), ldo = word(args, Attention.ldo);
  for (let sequence = 0; sequence < sequences; sequence++) {
    const start = row_of(args, Attention.q_offsets, sequence);
    const from = max(first, start) - start, to = min(last, row_of(args, Attention.q_offsets, sequence + 1)) - start;
    if (from >= to) continue;
    for (let head = 0; head < heads; head++) {
      for (let query = from; query < to; query += QUERIES) attend(args, sequence, head, query, min(QUERIES, to - query));
    }
    if (cols & 7) {
      for (let row = start + from; row < start + to; row++) {
        memory.fill(<usize>word(args, Record.out) + (<usize>(row * ldo + cols) << 2), 0, <usize>(-cols & 7) << 2);
      }
    }
  }
}

/** Sets the state of a tile of queries before the first key. Lanes behind the last query repeat it. */
function open(args: usize, sequence: i32, head: i32, query: i32, queries: i32, q_row: i32, behind: i32): void {
  const scratch = <usize>word(args, Attention.scratch), q_positions = <usize>word(args, Attention.q_positions);
  const sinks = <usize>word(args, Attention.sinks), sink = sinks ? load<f32>(sinks + (<usize>head << 2)) : -Infinity;
  for (let i = 0; i < QUERIES; i++) {
    const at = scratch + (<usize>i << 2), own = min(i, queries - 1);
    store<i32>(at, q_positions ? load<i32>(q_positions + (<usize>(q_row + own) << 2)) : query + own + behind, POSITIONS);
    store<f32>(at, max(sink, LOWEST), MAXIMUM);
    store<f32>(at, sink >= LOWEST ? 1 : 0, SUM);
  }
  const head_dim = word(args, Attention.head_dim), value_dim = word(args, Attention.value_dim), ldq = <usize>word(args, Attention.ldq) << 2;
  const q = <usize>word(args, Attention.q) + <usize>q_row * ldq + (<usize>(head * head_dim) << 2), packed = scratch + PACKED;
  for (let i = 0; i < queries; i += LANES) {
    transpose(packed + <usize>(i * head_dim << 2), q + <usize>i * ldq, ldq, min(LANES, queries - i), head_dim);
  }
  memory.fill(packed + <usize>(QUERIES * head_dim << 2), 0, <usize>(QUERIES * (value_dim + 7 & -8)) << 2);
}

/** One head of up to 24 queries of one sequence, `query` counted in it. */
function attend(args: usize, sequence: i32, head: i32, query: i32, queries: i32): void {
  const head_dim = word(args, Attention.head_dim), value_dim = word(args, Attention.value_dim);
  const q_start = row_of(args, Attention.q_offsets, sequence), q_count = row_of(args, Attention.q_offsets, sequence + 1) - q_start;
  const k_start = row_of(args, Attention.k_offsets, sequence), k_count = row_of(args, Attention.k_offsets, sequence + 1) - k_start;
  const kv_head = head / (word(args, Attention.heads) / word(args, Attention.kv_heads));
  const ldk = <usize>word(args, Attention.ldk) << 2, ldv = <usize>word(args, Attention.ldv) << 2;
  const k = <usize>word(args, Attention.k) + <usize>k_start * ldk + (<usize>(kv_head * head_dim) << 2);
  const v = <usize>word(args, Attention.v) + <usize>k_start * ldv + (<usize>(kv_head * value_dim) << 2);
  const scratch = <usize>word(args, Attention.scratch), scores = scratch + SCORES;
  const packed = scratch + PACKED, sums = packed + <usize>(QUERIES * head_dim << 2);
  open(args, sequence, head, query, queries, q_start + query, k_count - q_count);

  let tap = <usize>word(args, Attention.tap);
  const tap_ld = <usize>k_count << 2;
  if (tap) {
    const offset = load<i32>(<usize>word(args, Attention.tap_offsets) + (<usize>sequence << 2));
    tap += <usize>(offset + (head * q_count + query) * k_count) << 2;
  }

  // Keys without positions of their own lie in order: leave out what none of the queries' windows reaches.
  const k_positions = word(args, Attention.k_positions), left = left_of(args), right = right_of(args);
  const bounded = k_positions != 0 || left != i32.MIN_VALUE || right != i32.MAX_VALUE;
  let from = 0, to = k_count;
  if (!k_positions) {
    if (left != i32.MIN_VALUE) from = min(to, max(from, least_of(scratch + POSITIONS, QUERIES) + left));
    if (right != i32.MAX_VALUE) to = max(from, min(to, most_of(scratch + POSITIONS, QUERIES) + right + 1));
  }

  const terms = has_terms(args), scale = number(args, Attention.scale);
  for (let key = from, next = 0; key < to; key = next) {
    next = min(to, key - key % KEYS + KEYS);
    const keys = next - key;
    let seen = false;
    for (let i = 0; i < queries; i += LANES) {
      const state = scratch + (<usize>i << 2), what = bounded ? sees(args, sequence, state + POSITIONS, key, keys) : Sees.all;
      if (what == Sees.nothing && !tap) {
        softmax_nothing(state + PROBABILITIES, keys, state + RESCALE);
        continue;
      }
      seen = true;
      for (let j = 0; j < keys; j += TILE_ROWS) {
        tile(scores + (<usize>j << 5), k + <usize>(key + j) * ldk, ldk, keys - j, packed + <usize>(i * head_dim << 2), head_dim);
      }
      const positional = what != Sees.all, done = terms || positional;
      if (done) {
        logits(args, scores, scratch + TERMS, sequence, head, query + i, query + queries - 1, state + POSITIONS, key, keys, positional);
      }
      softmax(state + PROBABILITIES, scores, keys, done ? 1 : scale, state + MAXIMUM, state + SUM, state + RESCALE);
      if (tap) transpose_back(tap + <usize>i * tap_ld + (<usize>key << 2), tap_ld, scores, min(LANES, queries - i), keys);
    }
    if (!seen) continue;
    for (let col = 0; col < value_dim; col += 8) {
      const own = v + <usize>key * ldv + (<usize>col << 2);
      for (let i = 0; i < queries; i += TILE_ROWS) {
        const state = scratch + (<usize>i << 2);
        values(sums + (<usize>(col * QUERIES + i * 8) << 2), state + RESCALE, state + PROBABILITIES, own, ldv, keys);
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
