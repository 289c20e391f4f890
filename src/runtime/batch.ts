import { InputError, InputTooLongError, ShapeError, TokenOutOfRangeError } from "../errors.ts";
import type { Dims } from "../graph/graph.ts";
import { Invisible } from "../graph/op.ts";
import type { TensorLike } from "../tensor.ts";

export type Numbers = ArrayLike<number> | ArrayLike<bigint>;
/** Whole numbers by sequence: a tensor [B, T] (or [T]), or nested arrays whose rows may differ in length, or one sequence alone. */
export type Ids = { readonly data: Numbers; readonly dims: readonly number[] } | Numbers | readonly Numbers[];

/** Inputs of an encoder, named as in transformers. Rows shorter than the longest are padded, and the padding costs nothing. */
export interface EncoderInputs {
  input_ids: Ids;
  /** 1: the token counts, 0: it is padding. Left pads and holes are allowed. */
  attention_mask?: Ids;
  token_type_ids?: Ids;
  position_ids?: Ids;
  /** 1: the token counts when a sentence's tokens are pooled. Default: attention_mask. */
  pooling_mask?: Ids;
}

/** What any model takes: text, what a decoder has written so far, pictures, sound. */
export interface ModelInputs extends Partial<EncoderInputs> {
  decoder_input_ids?: Ids;
  decoder_attention_mask?: Ids;
  decoder_position_ids?: Ids;
  /** Images [B, channels, height, width], as `ImageProcessor` makes them. */
  pixel_values?: TensorLike;
  /** Spectrograms [B, time, frequency]. */
  input_values?: TensorLike;
  /** Log-mel spectrograms [B, mels, frames]. */
  input_features?: TensorLike;
  /** Images of another size than the model was trained with are allowed: its table of positions is interpolated. */
  interpolate_pos_encoding?: boolean;
}

/** What a model says of its inputs. */
export interface InputRules {
  /** How many rows the table of each input has: ids must lie below. */
  readonly sizes: { readonly [input: string]: number };
  /** Positions count the tokens that are not this id, from this number + 1 on (RoBERTa); else they count all, from 0 on. */
  readonly padded_positions?: number;
  /** Positions count from this number on (BART); else from 0. */
  readonly first_position?: number;
  /** With `padded_positions`: those that are this id have no position of their own, but are counted (SASRec). */
  readonly padding_counts?: boolean;
  /** Positions count visible tokens alone (OPT). */
  readonly visible_positions?: boolean;
  /** Rows within the last visible one stay even if masked: the model mixes neighbours. */
  readonly keep_holes?: boolean;
  /** Masked tokens attend evenly to every place of their padded row, so that all of these stay where the first is masked, which heads read. */
  readonly even?: boolean;
  /** The place that a pooler reads, of a row of ids (-1 behind its end): its row stays even if masked. Default: the first. */
  readonly pooled?: (ids: Int32Array) => number;
  /** Masked tokens go even where they come first: no head reads them. */
  readonly drop_first?: boolean;
  /** How tokens turn, where that depends on how long their sequence is. */
  readonly rotations?: Rotations;
  /** Heads of an attention, for where the probabilities of each sequence begin. */
  readonly heads: number;
}

/** Rotations that change with the length of a sequence. */
export interface Rotations {
  /** Up to this length they are what they are for all shorter ones. */
  readonly original: number;
  /** Tokens that were read when a sequence was no longer than that are read again once it is. */
  readonly again: boolean;
  /** Frequencies of heads at a length. */
  frequencies(length: number): Float32Array;
}

/** Of each row, [rows, half]: `lengths` are those of their sequences. */
export function frequenciesOf({ original, frequencies }: Rotations, lengths: ArrayLike<number>): Float32Array {
  const known = new Map<number, Float32Array>();
  const all = Array.from(lengths, (n) => {
    const length = Math.max(n, original);
    const made = known.get(length) ?? frequencies(length);
    known.set(length, made);
    return made;
  });
  const out = new Float32Array(all.length * (all[0]?.length ?? 0));
  for (const [i, row] of all.entries()) out.set(row, i * row.length);
  return out;
}

/** The position of a sequence's first token. */
export const firstPosition = ({ padded_positions: pad, first_position = 0 }: Positions): number =>
  pad === undefined ? first_position : pad + 1;

/** Most tokens that a sequence may have: Infinity where positions are not looked up in a table. */
export const positionsOf = (rules: Positions): number =>
  (rules.sizes.position_ids ?? Number.POSITIVE_INFINITY) - firstPosition(rules);

type Positions = Pick<InputRules, "sizes" | "padded_positions" | "first_position">;

/** Sequences laid end to end without padding, and the way back to the padded form. */
export interface Batch {
  readonly dims: Dims;
  /** Padded length. */
  readonly length: number;
  /** Place of each row in the padded batch: sequence · length + column. */
  readonly rows: Int32Array;
  /** Rows of each sequence start here; one more than there are sequences. */
  readonly offsets: Int32Array;
  /** What programs read by name. An input that is absent is a null pointer. */
  readonly inputs: { readonly [name: string]: Int32Array | Float32Array | undefined };
  /** What other sides of the graph read, whose dims and inputs are among these (sides.ts). */
  readonly sides?: { readonly [side: string]: Batch };
}

interface Padded {
  data: Int32Array;
  lengths: number[];
  length: number;
}

/** Any accepted form as rows of equal length, -1 where a ragged row has nothing. */
export function padded(name: string, ids: Ids): Padded {
  const int = (v: unknown, at: number): number => {
    const n = Number(v);
    if (!Number.isInteger(n) || typeof v === "string" || typeof v === "object" || Math.abs(n) > 0x7fffffff)
      throw new InputError(`${name}[${at}] is ${v}, not a whole number`);
    return n;
  };
  const tensor = typeof ids === "object" && !!ids && "dims" in ids;
  const numbers = tensor ? ids.data : ids;
  const isList = (v: unknown) => typeof v === "object" && typeof (v as Numbers | null)?.length === "number";
  if (!isList(numbers)) throw new InputError(`${name} must be a tensor or arrays of ids`);
  if (!numbers.length) throw new InputError(`${name} is empty`);
  if (tensor) {
    const { data, dims } = ids;
    const [b, t] = dims.length === 1 ? [1, dims[0]] : dims;
    // The data bound what is allocated for the dims.
    if (dims.length > 2 || !(Number.isInteger(b) && Number.isInteger(t) && b > 0) || b * t !== data.length)
      throw new ShapeError(name, ["B", "T"], dims);
    const ints = data instanceof Int32Array ? data : Int32Array.from(data as ArrayLike<number>, int);
    return { data: ints, lengths: new Array(b).fill(t), length: t };
  }
  const list = (typeof numbers[0] === "object" ? numbers : [numbers]) as readonly Numbers[];
  const lengths = Array.from(list, (row, b) => {
    if (!isList(row) || !row.length) throw new InputError(`${name}[${b}] is not a row of ids`);
    return row.length;
  });
  const length = lengths.reduce((a, b) => Math.max(a, b));
  const data = new Int32Array(list.length * length).fill(-1);
  for (const [b, row] of list.entries()) {
    data.set(
      Array.from(row as ArrayLike<number>, (v, t) => int(v, b * length + t)),
      b * length,
    );
  }
  return { data, lengths, length };
}

/** Lays inputs out without padding; errors call them by their names after `prefix`. @throws InputError, ShapeError, TokenOutOfRangeError, InputTooLongError */
export function layOut(inputs: Partial<EncoderInputs>, rules: InputRules, prefix = ""): Batch {
  const {
    sizes,
    padded_positions: pad,
    padding_counts,
    first_position,
    visible_positions,
    keep_holes,
    even,
    pooled,
    drop_first,
    heads,
  } = rules;
  for (const name of Object.keys(inputs)) {
    const known = name === "attention_mask" || name === "position_ids" || name === "pooling_mask" || name in sizes;
    if (!known && inputs[name as keyof EncoderInputs] !== undefined)
      throw new InputError(
        `this model has no input ${name}; it takes ${[...Object.keys(sizes), "attention_mask"].join(", ")}`,
      );
  }
  const ids = padded(`${prefix}input_ids`, inputs.input_ids as Ids);
  const { length } = ids;
  const B = ids.lengths.length;
  const like = (name: Exclude<keyof EncoderInputs, "input_ids">) => {
    const value = inputs[name];
    if (value === undefined) return undefined;
    const p = padded(prefix + name, value);
    if (p.lengths.length !== B || p.length !== length)
      throw new ShapeError(prefix + name, [B, length], [p.lengths.length, p.length]);
    return p.data;
  };
  const mask = like("attention_mask");
  const types = like("token_type_ids");
  const given = like("position_ids");
  const pooling = like("pooling_mask");
  const sees = (b: number, t: number) => t < ids.lengths[b] && (!mask || mask[b * length + t] > 0);

  const rows: number[] = [];
  const offsets = new Int32Array(B + 1);
  const pooled_rows = new Int32Array(B);
  let moved = false;
  let hidden = false;
  for (let b = 0; b < B; b++) {
    const all = even && !sees(b, 0);
    const read = pooled?.(ids.data.subarray(b * length, (b + 1) * length)) ?? 0;
    let end = length;
    while (end > read + 1 && !all && !sees(b, end - 1)) end--;
    for (let t = 0; t < end; t++) {
      const visible = sees(b, t);
      // The first token stays even if masked, or the one that is pooled: transformers' heads read it.
      if (!visible && (t !== read || drop_first) && !keep_holes && !all) continue;
      if (rows.length - offsets[b] !== t) moved = true;
      if (!visible) hidden = true;
      if (t === read) pooled_rows[b] = rows.length;
      rows.push(b * length + t);
    }
    offsets[b + 1] = rows.length;
    if (drop_first && rows.length === offsets[b])
      throw new InputError(`${prefix}input_ids[${b}] has no token that counts`);
  }
  // Loops: Int32Array.from calls an iterator for each number, which is most of a short run's host time.
  const pick = (of: (place: number) => number) => {
    const out = new Int32Array(rows.length);
    for (let i = 0; i < out.length; i++) out[i] = of(rows[i]);
    return out;
  };
  const inRange = (name: string, values: Int32Array) => {
    const size = sizes[name];
    values.forEach((id, i) => {
      if (id < 0 || id >= size) throw new TokenOutOfRangeError(rows[i], id, size, prefix + name);
    });
    return values;
  };
  const column = pick((place) => place % length);
  let position_ids = given && pick((place) => given[place]);
  if (!position_ids && pad !== undefined) {
    // arXiv:1907.11692's implementation: counted over the padded row, whatever the mask says.
    const counted = new Int32Array(B * length);
    for (let b = 0, n = 0; b < B; b++, n = 0)
      for (let t = b * length; t < (b + 1) * length; t++) {
        const none = ids.data[t] === pad;
        n += +(!none || !!padding_counts);
        counted[t] = none ? pad : pad + n;
      }
    position_ids = pick((place) => counted[place]);
  }
  if (!position_ids && visible_positions) {
    const counted = new Int32Array(B * length);
    for (let b = 0, n = 0; b < B; b++, n = 0)
      for (let t = 0; t < length; t++) counted[b * length + t] = sees(b, t) ? n++ : 0;
    position_ids = pick((place) => counted[place]);
  }
  position_ids ??= first_position ? column.map((c) => c + first_position) : column;
  if (sizes.position_ids) {
    const most = position_ids.reduce((a, v) => Math.max(a, v), 0);
    if (most >= sizes.position_ids && !given) throw new InputTooLongError(length, positionsOf(rules));
    inRange("position_ids", position_ids);
  }
  const lengths = Array.from({ length: B }, (_, b) => offsets[b + 1] - offsets[b]);
  const tap_offsets = new Int32Array(B);
  for (let b = 1; b < B; b++) tap_offsets[b] = tap_offsets[b - 1] + heads * lengths[b - 1] * lengths[b - 1];
  const visible = hidden ? pick((place) => +sees(Math.floor(place / length), place % length)) : undefined;
  const shown = (c: number, i: number) => (visible && !visible[i] ? Invisible.position : c);
  const keys = moved || hidden ? column.map(shown) : undefined;
  const pool_mask = pooling ? pick((place) => +(pooling[place] > 0)) : visible;
  /** The first or last row of each sequence that is pooled. */
  const edge = (end: 0 | 1, step: 1 | -1) =>
    Int32Array.from({ length: B }, (_, b) => {
      let row = offsets[b + end] - end;
      while (pool_mask && !pool_mask[row] && row + step >= offsets[b] && row + step < offsets[b + 1]) row += step;
      return row;
    });
  let inv_freq: Float32Array | undefined;
  if (rules.rotations) {
    const longest = new Int32Array(rows.length);
    for (let b = 0; b < B; b++) {
      const own = position_ids.subarray(offsets[b], offsets[b + 1]);
      longest.fill(own.reduce((a, v) => Math.max(a, v), 0) + 1, offsets[b], offsets[b + 1]);
    }
    inv_freq = frequenciesOf(rules.rotations, longest);
  }
  const P = lengths.reduce((n, t) => n + t * t, 0);
  return {
    dims: { T: rows.length, B, P, S: 0, R: 0 },
    length,
    rows: Int32Array.from(rows),
    offsets,
    inputs: {
      input_ids: inRange(
        "input_ids",
        pick((place) => (place % length < ids.lengths[Math.floor(place / length)] ? ids.data[place] : 0)),
      ),
      token_type_ids: inRange(
        "token_type_ids",
        pick((place) => types?.[place] ?? 0),
      ),
      position_ids,
      inv_freq,
      offsets,
      tap_offsets,
      first_rows: offsets.subarray(0, B),
      pooled_rows,
      pool_first_rows: edge(0, 1),
      pool_last_rows: edge(1, -1),
      pool_mask,
      visible,
      index: even ? keys : moved || hidden ? column : undefined,
      key_index: keys,
    },
  };
}

/** Rows of f32 by kept row, put where they belong in the padded batch; zeros elsewhere. [T, cols] -> [B, length, cols]. */
export function scatter(rows: Float32Array, cols: number, { rows: places, dims: { B }, length }: Batch): Float32Array {
  if (places.length === B * length) return rows;
  const out = new Float32Array(B * length * cols);
  for (const [i, place] of places.entries()) out.set(rows.subarray(i * cols, (i + 1) * cols), place * cols);
  return out;
}

/** Probabilities [head][query][key] of each sequence, put into [B, heads, length, length of keys]; masked keys and rows are zeros. */
export function scatterProbabilities(
  from: Float32Array,
  heads: number,
  queries: Batch,
  keys: Batch = queries,
): Float32Array {
  const { B } = queries.dims;
  const out = new Float32Array(B * heads * queries.length * keys.length);
  const columns = ({ rows, offsets, length }: Batch, b: number) =>
    rows.subarray(offsets[b], offsets[b + 1]).map((place) => place % length);
  let at = 0;
  for (let b = 0; b < B; b++) {
    const [all, seen] = [columns(queries, b), columns(keys, b)];
    for (let h = 0; h < heads; h++) {
      for (const q of all)
        for (const k of seen) out[((b * heads + h) * queries.length + q) * keys.length + k] = from[at++];
    }
  }
  return out;
}
