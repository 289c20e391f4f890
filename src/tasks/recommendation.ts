import { InputError, MissingFileError, TokenOutOfRangeError } from "../errors.ts";
import type { ModelSource } from "../format/source.ts";
import { Decoding } from "../generate/decoding.ts";
import { type LoadOptions, loadModel, type Model } from "../models/model.ts";
import { whole } from "../options.ts";
import { positionsOf } from "../runtime/batch.ts";
import { topK } from "./scores.ts";

export interface RecommendationOptions {
  /** How many items, best first; fewer if no more are left. Default 10. */
  top_k?: number;
  /** Items that are not to be recommended. */
  exclude?: readonly number[];
  /** Leave out the items of the history too. Default false. */
  exclude_seen?: boolean;
  signal?: AbortSignal;
}

export interface Recommended {
  item: number;
  /** The logit of its being next. */
  score: number;
}

/** A history that grows: what was computed for its items is kept, so that an event costs one row. */
export interface RecommendationSession {
  /** The latest events, as many as the model takes, oldest first. */
  readonly items: readonly number[];
  /**
   * Adds one event or several. Its scores are, bit for bit, those of a run over `items`; once there are more events than the model
   * takes, places move and each costs a run over all of them. A failed call adds nothing. @throws TokenOutOfRangeError, AbortError
   */
  add(items: number | readonly number[], options?: { signal?: AbortSignal }): Promise<void>;
  /** The best next items. @throws InputError if there was no event yet */
  recommend(options?: RecommendationOptions): Promise<Recommended[]>;
  /** Scores of all items by their number, [vocab_size]; item 0 is none. */
  scores(): Promise<Float32Array>;
  dispose(): void;
  [Symbol.dispose](): void;
}

/** Next items for a history (oldest first), or for each of several. */
export interface Recommendation {
  (items: readonly number[], options?: RecommendationOptions): Promise<Recommended[]>;
  (items: readonly (readonly number[])[], options?: RecommendationOptions): Promise<Recommended[][]>;
  session(items?: readonly number[], options?: { signal?: AbortSignal }): Promise<RecommendationSession>;
  readonly model: Model;
  dispose(): void;
  [Symbol.dispose](): void;
}

/** Histories that are run at once. */
const BATCH = 64;

/** @throws InputError unless the model is one over items */
export async function recommendation(source?: ModelSource, options?: LoadOptions): Promise<Recommendation> {
  if (source === undefined) throw new MissingFileError("a model", "the package: recommendation needs one of yours");
  const model = await loadModel(source, options);
  if (model.config.model_type !== "sasrec") {
    model.dispose();
    throw new InputError(`recommendation needs a model of items (sasrec), not ${model.config.model_type}`);
  }
  const most = positionsOf(model.rules);
  const size = model.rules.sizes.input_ids;
  const checked = (item: number, at: number) => {
    if (!(Number.isInteger(item) && item > 0 && item < size)) throw new TokenOutOfRangeError(at, item, size, "items");
    return item;
  };

  const open = (histories: readonly (readonly number[])[], room: number, signal?: AbortSignal) => {
    const sequences = histories.map((ids) => ({ ids, reads: ids }));
    return Decoding.open(model.session, model.rules, { sequences }, { room, signal });
  };

  const bestOf = (scores: Float32Array, seen: Iterable<number>, o: RecommendationOptions): Recommended[] => {
    const { top_k = 10, exclude = [], exclude_seen = false } = o;
    const left = scores.slice();
    left[0] = Number.NEGATIVE_INFINITY;
    for (const item of [...exclude.map(checked), ...(exclude_seen ? seen : [])]) left[item] = Number.NEGATIVE_INFINITY;
    const found = topK(left, whole("top_k", top_k)).map((item) => ({ item, score: left[item] }));
    return found.filter(({ score }) => score > Number.NEGATIVE_INFINITY);
  };

  const call = async (items: readonly number[] | readonly (readonly number[])[], o: RecommendationOptions = {}) => {
    const one = !Array.isArray(items[0]);
    const histories = (one ? [items] : items) as readonly (readonly number[])[];
    for (const [b, h] of histories.entries())
      if (!h.map(checked).length) throw new InputError(`items${one ? "" : `[${b}]`} is empty`);
    const found: Recommended[][] = [];
    for (let first = 0; first < histories.length; first += BATCH) {
      const part = histories.slice(first, first + BATCH);
      const decoding = await open(
        part.map((h) => h.slice(-most)),
        0,
        o.signal,
      );
      try {
        const scores = await decoding.step(decoding.rows);
        found.push(...part.map((h, b) => bestOf(scores[b], h, o)));
      } finally {
        decoding.dispose();
      }
    }
    return one ? found[0] : found;
  };

  const session = async (given: readonly number[] = [], { signal }: { signal?: AbortSignal } = {}) => {
    const decoding = await open([[]], most + 1);
    const [row] = decoding.rows;
    let items: readonly number[] = [];
    const seen = new Set<number>();
    let scores: Float32Array | undefined;
    // Events come in the order of their calls, whatever becomes of the one before.
    let last: Promise<void> = Promise.resolve();
    const after = <T>(then: () => T | Promise<T>) => {
      const done = last.then(then);
      last = done.then(
        () => {},
        () => {},
      );
      return done;
    };
    const known = () => {
      if (!scores) throw new InputError("a session needs an event before it can recommend");
      return scores;
    };
    const made: RecommendationSession = {
      get items() {
        return items;
      },
      add: (added, { signal } = {}) =>
        after(async () => {
          const next = [added].flat().map(checked);
          if (!next.length) return;
          const all = [...items, ...next];
          const kept = all.slice(-most);
          // If this step fails, what it has written over is computed again by the next.
          if (all.length > most) row.past = 0;
          row.next = kept.slice(row.past);
          [scores] = await decoding.step([row], signal);
          for (const item of next) seen.add(item);
          items = kept;
        }),
      recommend: (o = {}) => after(() => bestOf(known(), seen, o)),
      scores: () => after(() => known().slice()),
      dispose: () => decoding.dispose(),
      [Symbol.dispose]: () => decoding.dispose(),
    };
    await made.add(given, { signal }).catch((error: unknown) => {
      made.dispose();
      throw error;
    });
    return made;
  };

  const dispose = () => model.dispose();
  return Object.assign(call, { session, model, dispose, [Symbol.dispose]: dispose }) as Recommendation;
}
