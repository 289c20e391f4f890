/**
 * Sequences under way: what a step over the next tokens of each reads and gives, and their rows in the state. What is done with the
 * logits (loop.ts, beams.ts) knows nothing of models; how sequences begin, and what a step reads besides tokens, is in a `Prompt`.
 */

import { InputError, InputTooLongError } from "../errors.ts";
import type { Dims, Value } from "../graph/graph.ts";
import { firstPosition, type InputRules, positionsOf } from "../runtime/batch.ts";
import type { RunInputs, Session } from "../runtime/session.ts";
import type { SideRows, State } from "../runtime/state.ts";

/** How a decoding begins: what a model makes of the caller's inputs. */
export interface Prompt {
  readonly sequences: readonly {
    /** What the result begins with, as the caller gave it: padding included. */
    readonly ids: readonly number[];
    /** Those of them that count: what the first step reads. */
    readonly reads: readonly number[];
    /** What an encoder read as tokens, which some penalties look at. */
    readonly encoder_ids?: readonly number[];
  }[];
  /** Rows that the state keeps of other sides of the graph: of what an encoder gave. */
  readonly kept?: SideRows;
  /** What a step reads besides the rows' own tokens, and its dims: of an encoder, where there is one, in the step in which `past` is 0. */
  more?(rows: readonly Row[]): { readonly dims?: Partial<Dims>; readonly inputs: RunInputs };
}

/** A sequence on its way. */
export interface Row {
  /** The prompt's sequence that it goes on with. */
  readonly source: number;
  /** The prompt as it was given, and what was made since. */
  readonly ids: number[];
  /** What the next step reads. */
  next: number[];
  /** Tokens kept in the state. */
  past: number;
  /** Its first row there. */
  readonly start: number;
}

export interface DecodingOptions {
  /** Tokens that may follow a prompt. */
  room: number;
  /** Rows that go on with the same sequence. */
  copies?: number;
  signal?: AbortSignal;
}

export class Decoding {
  /** One for each sequence of the prompt. */
  readonly rows: Row[] = [];
  /** First rows of the places in the state that nobody uses, by source. */
  readonly #free: number[][] = [];

  private constructor(
    readonly session: Session,
    readonly rules: InputRules,
    readonly prompt: Prompt,
    readonly state: State,
    readonly signal?: AbortSignal,
  ) {}

  /** Takes memory for all that may come; `dispose` gives it back. @throws MemoryLimitError, InputTooLongError, AbortError */
  static async open(
    session: Session,
    rules: InputRules,
    prompt: Prompt,
    { room, copies = 1, signal }: DecodingOptions,
  ): Promise<Decoding> {
    const most = positionsOf(rules);
    let end = 0;
    const places = prompt.sequences.map(({ reads }) => {
      if (reads.length > most) throw new InputTooLongError(reads.length, most);
      // The last token is never read.
      const rows = Math.min(most, reads.length + Math.max(0, room - 1));
      return Array.from({ length: copies }, () => {
        const start = end;
        end += (rows + 7) & ~7; // keys lie in panels of 8
        return start;
      });
    });
    const decoding = new Decoding(session, rules, prompt, await session.state(end, signal, prompt.kept), signal);
    for (const [source, { ids, reads }] of prompt.sequences.entries()) {
      const [start, ...free] = places[source];
      decoding.rows.push({ source, ids: [...ids], next: [...reads], past: 0, start });
      decoding.#free.push(free);
    }
    return decoding;
  }

  /**
   * Reads the next tokens of each row: the logits of what follows each, the caller's to change.
   * @throws InputTooLongError, AbortError; the rows are as they were before
   */
  async step(rows: readonly Row[]): Promise<Float32Array[]> {
    const { session, state, signal } = this;
    const { dims, inputs } = this.#layOut(rows);
    const logits = await session.run(["next_logits"], dims, inputs, ([v]: Value[], copy) => copy(v), { signal, state });
    for (const row of rows) {
      row.past += row.next.length;
      row.next = [];
    }
    const size = logits.length / rows.length;
    return rows.map((_, i) => logits.subarray(i * size, (i + 1) * size));
  }

  /**
   * The rows that go on: number i continues `from[i]` and has its own ids. A row that is named twice is copied to a place that one of `all`,
   * which is not named, leaves. Rows must have been read (`next` is empty).
   */
  fork(all: readonly Row[], from: readonly Row[]): Row[] {
    for (const row of all) if (!from.includes(row)) this.drop(row);
    const seen = new Set<Row>();
    return from.map((row) => {
      const first = !seen.has(row);
      seen.add(row);
      if (first) return { ...row, ids: [...row.ids] };
      const start = this.#free[row.source].pop();
      if (start === undefined) throw new InputError(`sequence ${row.source} has no room for another copy`);
      this.state.copy(start, row.start, row.past);
      return { ...row, ids: [...row.ids], start };
    });
  }

  /** Leaves a row's place to others. */
  drop(row: Row): void {
    this.#free[row.source].push(row.start);
  }

  dispose(): void {
    this.state.dispose();
  }

  #layOut(rows: readonly Row[]): { dims: Dims; inputs: RunInputs } {
    const { rules, prompt } = this;
    const more = prompt.more?.(rows);
    const base = firstPosition(rules);
    const most = positionsOf(rules);
    const T = rows.reduce((n, r) => n + r.next.length, 0);
    const dims: Dims = { T, B: rows.length, P: 0, S: 0, R: 0, ...more?.dims };
    const input_ids = new Int32Array(T);
    const position_ids = new Int32Array(T);
    const cache_rows = new Int32Array(T);
    const offsets = new Int32Array(rows.length + 1);
    let t = 0;
    for (const [b, { next, past, start }] of rows.entries()) {
      if (past + next.length > most) throw new InputTooLongError(past + next.length, most);
      for (const [i, id] of next.entries()) {
        input_ids[t] = id;
        position_ids[t] = base + past + i;
        cache_rows[t++] = start + past + i;
      }
      offsets[b + 1] = t;
    }
    const inputs = {
      input_ids,
      position_ids,
      cache_rows,
      offsets,
      last_rows: offsets.slice(1).map((end) => end - 1),
      k_offsets: Int32Array.from([...rows.map((r) => r.start), 0]),
      k_ends: Int32Array.from([...rows.map((r) => r.start + r.past + r.next.length), 0]),
      ...more?.inputs,
    };
    return { dims, inputs };
  }
}
