/**
 * Sequences under way: what a step over the next tokens of each reads and gives, and their rows in the state. What is done with the
 * logits (loop.ts, beams.ts) knows nothing of models; how sequences begin, and what a step reads besides tokens, is in a `Prompt`.
 */

import { InputError, InputTooLongError } from "../errors.ts";
import type { Dims, Value } from "../graph/graph.ts";
import { platform } from "../platform.ts";
import { firstPosition, frequenciesOf, type InputRules, positionsOf } from "../runtime/batch.ts";
import type { CacheOptions, SideRows } from "../runtime/kept.ts";
import type { Range } from "../runtime/ranges.ts";
import type { Sequence } from "../runtime/sequence.ts";
import type { RunInputs, Session } from "../runtime/session.ts";
import { stateOf } from "../runtime/state.ts";

/** How a decoding begins: what a model makes of the caller's inputs. */
export interface Prompt {
  readonly sequences: readonly {
    /** What the result begins with, as the caller gave it: padding included. */
    readonly ids: readonly number[];
    /** Those of them that count: what the first step reads. */
    readonly reads: readonly number[];
    /** How many tokens before the first of those are padding. */
    readonly padding?: number;
    /** What an encoder read as tokens, which some penalties look at. */
    readonly encoder_ids?: readonly number[];
  }[];
  /** Rows that the state keeps of other sides of the graph: of what an encoder gave. */
  readonly kept?: SideRows;
  /**
   * What a step reads besides the rows' own tokens, and its dims; of an encoder, whose rows begin `at` in the state, in the `first` step, in
   * which it runs.
   */
  more?(
    rows: readonly Row[],
    at: SideRows,
    first: boolean,
  ): { readonly dims?: Partial<Dims>; readonly inputs: RunInputs };
}

/** A sequence on its way. */
export interface Row {
  /** The prompt's sequence that it goes on with. */
  readonly source: number;
  /** Which of those that go on with it. */
  readonly copy: number;
  /** The prompt as it was given, and what was made since. */
  readonly ids: number[];
  /** What the next step reads. */
  next: number[];
  /** Tokens read so far. Fewer than there were: those behind them are forgotten. */
  past: number;
  /** Where its keys and values are kept. */
  readonly sequence: Sequence;
}

/** Lends a sequence for a decoding and keeps it afterwards (cache.ts). */
export interface Keeper {
  /** Tokens that it holds. */
  readonly length: number;
  take(session: Session, ids: readonly number[], length: number): Sequence;
  give(): void;
}

export interface DecodingOptions {
  /** Tokens that may follow, of all sequences or of each. */
  room: number | readonly number[];
  /** Rows that go on with the same sequence. */
  copies?: number;
  /** What each sequence goes on from, and where it is kept afterwards. */
  caches?: readonly Keeper[];
  signal?: AbortSignal;
}

/** Milliseconds and steps after which the event loop has its turn: steps of a small model never get to where a run gives it. */
const TURN = 12;
const STEPS = 16;

export class Decoding {
  #turn = performance.now();
  #steps = 0;
  /** One for each sequence of the prompt. */
  readonly rows: Row[] = [];
  /** Places in the state that no row uses, by source. */
  readonly #free: Sequence[][] = [];
  /** What `dispose` gives back. */
  readonly #own: (() => void)[] = [];
  #sides: readonly Range[] = [];
  #begun = false;

  private constructor(
    readonly session: Session,
    readonly rules: InputRules,
    readonly prompt: Prompt,
    readonly signal?: AbortSignal,
  ) {}

  /** Takes memory for all that may come; `dispose` gives it back. @throws MemoryLimitError, InputTooLongError, AbortError */
  static async open(
    session: Session,
    rules: InputRules,
    prompt: Prompt,
    { room, copies = 1, caches = [], signal }: DecodingOptions,
  ): Promise<Decoding> {
    const most = positionsOf(rules);
    const decoding = new Decoding(session, rules, prompt, signal);
    const state = stateOf(session);
    try {
      await session.engine.enqueue(() => {
        if (prompt.kept) decoding.#sides = state.takeSides(prompt.kept);
        for (const [source, { ids, reads }] of prompt.sequences.entries()) {
          if (reads.length > most) throw new InputTooLongError(reads.length, most);
          // The last token is never read.
          const length = Math.min(
            most,
            reads.length + Math.max(0, (typeof room === "number" ? room : room[source]) - 1),
          );
          const cache = caches[source];
          const open = (options: CacheOptions) => {
            const sequence = state.open(options);
            decoding.#own.push(() => sequence.close());
            return sequence;
          };
          const before = cache?.length ?? 0;
          const sequence = cache ? cache.take(session, reads, length) : open({ length });
          if (cache) decoding.#own.push(() => cache.give());
          // A prompt is read whole where its keys, or those that were kept, turn as long ones do.
          const long = Math.max(before, reads.length) > (rules.rotations?.original ?? Number.POSITIVE_INFINITY);
          const past = long ? 0 : sequence.length;
          decoding.rows.push({ source, copy: 0, ids: [...ids], next: reads.slice(past), past, sequence });
          const free = Array.from({ length: copies - 1 }, () => open(sequence.options));
          decoding.#free.push(free);
        }
      }, signal);
    } catch (error) {
      decoding.dispose();
      throw error;
    }
    return decoding;
  }

  /**
   * Reads the next tokens of each row: the logits of what follows each, the caller's to change.
   * @throws InputTooLongError, MemoryLimitError, AbortError; what was read by then stays read
   */
  async step(rows: readonly Row[], signal = this.signal, output = "next_logits"): Promise<Float32Array[]> {
    // A clock may stand still (Workers), so steps count too.
    if (performance.now() - this.#turn > TURN || this.#steps++ % STEPS === STEPS - 1) {
      await platform().pause();
      this.#turn = performance.now();
    }
    // Where a window has no room for all of them, tokens come in parts: the last parts of all rows together.
    for (;;) {
      const values = await this.session.engine.enqueue(() => this.#read(rows, output, signal), signal);
      if (values) return values;
    }
  }

  /** Reads what there is room for. Gives nothing if more is to come. Within `enqueue`. */
  async #read(all: readonly Row[], output: string, signal?: AbortSignal): Promise<Float32Array[] | undefined> {
    const { session } = this;
    for (const row of all) this.#truncate(row);
    const parts = all.map((row) => ({ row, ids: row.next.slice(0, row.sequence.room(row.next.length)) }));
    const more = parts.filter(({ row, ids }) => ids.length < row.next.length);
    const now = more.length ? more : parts;
    const { dims, inputs } = this.#layOut(now);
    const state = stateOf(session);
    const values = await session.perform([output], dims, inputs, ([v]: Value[], copy) => copy(v), { signal, state });
    this.#begun = true;
    for (const { row, ids } of now) {
      for (const id of ids) row.sequence.ids.push(id);
      row.past += ids.length;
      row.next = row.next.slice(ids.length);
    }
    if (more.length) return;
    // Of each row one, or one a token.
    const ends = Array.from(inputs.offsets!, (t, b) => (output === "next_logits" ? b : t));
    const size = values.length / ends[now.length];
    return now.map((_, b) => values.subarray(ends[b] * size, ends[b + 1] * size));
  }

  /** Keeps the first `past` tokens that a row read. */
  rewind(row: Row, past: number): Promise<void> {
    row.past = past;
    return this.session.engine.enqueue(() => this.#truncate(row), this.signal);
  }

  #truncate(row: Row): void {
    const { original = Number.POSITIVE_INFINITY, again } = this.rules.rotations ?? {};
    const long = (length: number) => length > original;
    const turned = again && long(row.sequence.length) !== long(row.past + row.next.length);
    if (!turned && row.past >= row.sequence.length) return;
    const ids = row.sequence.ids.slice(0, row.past);
    row.past = row.sequence.truncate(turned ? 0 : row.past);
    // A window may have forgotten what is needed: then all of it is read again.
    row.next = [...ids.slice(row.past), ...row.next];
  }

  /** How many of the next `tokens` of a row one run takes. @throws MemoryLimitError */
  room(row: Row, tokens: number): Promise<number> {
    return this.session.engine.enqueue(() => row.sequence.room(tokens), this.signal);
  }

  /**
   * The rows that go on: number i continues `from[i]` and has its own ids. A row that is named twice is copied to a free place; those of
   * `all` that are not named leave theirs first. Rows must have been read (`next` is empty).
   */
  fork(all: readonly Row[], from: readonly Row[]): Promise<Row[]> {
    return this.session.engine.enqueue(() => {
      for (const row of all) if (!from.includes(row)) this.drop(row);
      const times = new Map<Row, number>();
      return from.map((row) => {
        const copy = times.get(row) ?? 0;
        times.set(row, copy + 1);
        if (!copy) return { ...row, ids: [...row.ids] };
        const sequence = this.#free[row.source].pop();
        if (!sequence) throw new InputError(`sequence ${row.source} has no room for another copy`);
        sequence.assign(row.sequence);
        return { ...row, copy, ids: [...row.ids], sequence };
      });
    }, this.signal);
  }

  /** Leaves a row's place to others. */
  drop(row: Row): void {
    this.#free[row.source].push(row.sequence);
  }

  dispose(): void {
    const close = () => {
      for (const give of this.#own.splice(0)) give();
      stateOf(this.session).give(this.#sides);
    };
    this.session.engine.enqueue(close).catch(() => {});
  }

  #layOut(parts: readonly { readonly row: Row; readonly ids: readonly number[] }[]): { dims: Dims; inputs: RunInputs } {
    const { rules, prompt } = this;
    const sides = stateOf(this.session).groups.map(({ side }, i) => [side, this.#sides[i]?.at ?? 0]);
    const rowsOf = parts.map((p) => p.row);
    const more = prompt.more?.(rowsOf, Object.fromEntries(sides), !this.#begun);
    const base = firstPosition(rules);
    const most = positionsOf(rules);
    const B = parts.length;
    const T = parts.reduce((n, { ids }) => n + ids.length, 0);
    const dims: Dims = { T, B, P: 0, S: 0, R: 0, ...more?.dims };
    const input_ids = new Int32Array(T);
    const position_ids = new Int32Array(T);
    const offsets = new Int32Array(B + 1);
    const lengths = rules.rotations && new Int32Array(T);
    const kept: { [input: string]: Int32Array } = {};
    let t = 0;
    for (const [b, { row, ids }] of parts.entries()) {
      const { position, rows } = row.sequence.place;
      if (position + ids.length > most) throw new InputTooLongError(position + ids.length, most);
      for (const { suffix, first, next } of rows) {
        kept[`k_offsets${suffix}`] ??= new Int32Array(B + 1);
        kept[`k_offsets${suffix}`][b] = first;
        kept[`k_ends${suffix}`] ??= new Int32Array(B + 1);
        kept[`k_ends${suffix}`][b] = next + ids.length;
        kept[`cache_rows${suffix}`] ??= new Int32Array(T);
        for (let i = 0; i < ids.length; i++) kept[`cache_rows${suffix}`][t + i] = next + i;
      }
      for (const [i, id] of ids.entries()) {
        input_ids[t] = id;
        // What is read at the beginning turns as transformers' first step does, by the length of all; what follows by its own.
        if (lengths) lengths[t] = rules.rotations!.again || !position ? position + row.next.length : position + i + 1;
        position_ids[t++] = base + position + i;
      }
      offsets[b + 1] = t;
    }
    const last_rows = offsets.slice(1).map((end) => end - 1);
    const inv_freq = rules.rotations && frequenciesOf(rules.rotations, lengths!);
    return { dims, inputs: { input_ids, position_ids, inv_freq, offsets, last_rows, ...kept, ...more?.inputs } };
  }
}
