import { FormatError, InputError } from "../errors.ts";
import type { ModelSource } from "../format/source.ts";
import type { LoadOptions } from "../models/model.ts";
import type { EngineOptions } from "../runtime/engine.ts";
import { type FeatureExtraction, featureExtraction } from "./featureExtraction.ts";
import type { CallOptions } from "./text.ts";
import { type SearchOptions, VectorIndex } from "./vectorIndex.ts";

/** A text to be found. A plain string is its own id. */
export type Document = string | { readonly id: string; readonly text: string };

export interface Found {
  id: string;
  /** Cosine with the query. */
  score: number;
  text: string;
}

const METADATA = "wattention.texts";

/** Texts that can be searched by meaning: a model and an exact index over what it makes of them. */
export class SemanticSearch {
  readonly #extract: FeatureExtraction;
  /** What the index's engine shares with the model's. */
  readonly #options: EngineOptions;
  /** Made with the first documents: a promise, so that two calls at once make one. */
  #index: Promise<VectorIndex> | undefined;
  #texts = new Map<string, string>();

  constructor(extract: FeatureExtraction, { deterministic, wasm }: EngineOptions = {}) {
    this.#extract = extract;
    this.#options = { deterministic, wasm };
  }

  get size(): number {
    return this.#texts.size;
  }

  #embed(texts: readonly string[], options: CallOptions) {
    const pooling = this.#extract.pools ? {} : { pooling: "mean" as const };
    return this.#extract(texts, { ...pooling, normalize: true, ...options });
  }

  /** Adds documents, or replaces those with the same id. @throws InputError if an id comes twice */
  async add(documents: readonly Document[], options: CallOptions = {}): Promise<void> {
    const all = documents.map((d) => (typeof d === "string" ? { id: d, text: d } : d));
    const bad = all.find((d) => typeof d?.id !== "string" || typeof d.text !== "string");
    if (bad) throw new InputError("a document is a string or { id, text }");
    if (!all.length) return;
    const vectors = await this.#embed(
      all.map((d) => d.text),
      options,
    );
    this.#index ??= VectorIndex.create(vectors.dims[1], this.#options);
    await (await this.#index).add(
      all.map((d) => d.id),
      vectors,
    );
    for (const { id, text } of all) this.#texts.set(id, text);
  }

  /** The documents nearest in meaning, best first; for several queries one list each. */
  async search<Q extends string | readonly string[]>(
    query: Q,
    { top_k, ...options }: SearchOptions & CallOptions = {},
  ): Promise<Q extends string ? Found[] : Found[][]> {
    const queries = typeof query === "string" ? [query] : (query as readonly string[]);
    const vectors = queries.length ? await this.#embed(queries, options) : undefined;
    const index = await this.#index;
    const hits = vectors && index ? await index.search(vectors, { top_k, ...options }) : queries.map(() => []);
    const found = hits.map((list) => list.map(({ id, score }) => ({ id, score, text: this.#texts.get(id)! })));
    return (typeof query === "string" ? found[0] : found) as never;
  }

  /** Removes documents; says how many there were. */
  async remove(ids: readonly string[]): Promise<number> {
    const removed = (await (await this.#index)?.remove(ids)) ?? 0;
    for (const id of ids) this.#texts.delete(id); // now: searches queued before have taken their texts
    return removed;
  }

  /** Vectors and texts as one safetensors file. */
  async save(): Promise<Uint8Array> {
    const index = await (this.#index ?? VectorIndex.create(1, this.#options));
    return index.save({ [METADATA]: JSON.stringify([...this.#texts]) });
  }

  /** Puts back what `save` gave; what was there before is dropped. @throws FormatError if the bytes are no saved search */
  async load(bytes: Uint8Array): Promise<void> {
    const { index, metadata } = await VectorIndex.load(bytes, this.#options);
    let texts: unknown;
    try {
      texts = JSON.parse(metadata[METADATA]);
    } catch {}
    const good = (t: unknown) => Array.isArray(t) && t.length === 2 && index.has(t[0]) && typeof t[1] === "string";
    const map = Array.isArray(texts) && texts.every(good) ? new Map<string, string>(texts) : undefined;
    if (map?.size !== index.size) {
      index.dispose();
      throw new FormatError("semantic search", `needs a text for each of its ${index.size} ids`);
    }
    this.#drop();
    this.#index = index.size ? Promise.resolve(index) : undefined;
    this.#texts = map;
  }

  #drop(): void {
    this.#index?.then(
      (index) => index.dispose(),
      () => {},
    );
  }

  dispose(): void {
    this.#drop();
    this.#extract.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

export async function semanticSearch(source?: ModelSource, options: LoadOptions = {}): Promise<SemanticSearch> {
  return new SemanticSearch(await featureExtraction(source, options), options);
}
