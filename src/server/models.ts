import { platform } from "../platform.ts";
import type { TextIds } from "../tasks/text.ts";
import { type BatchEvent, Batcher, type Item, type QueueOptions } from "./batcher.ts";
import { ApiError, invalid } from "./errors.ts";

/** What makes vectors: `pipeline("feature-extraction")` is one. */
export interface Embedder {
  (
    texts: readonly TextIds[],
    options: { pooling?: "mean"; normalize: true; signal?: AbortSignal },
  ): Promise<{ readonly data: Float32Array; readonly dims: readonly number[] }>;
  encode(text: string, options?: { prompt_name?: string; truncation?: boolean }): TextIds;
  readonly pools: boolean;
  readonly max_length: number;
  readonly model: {
    readonly config: { readonly raw: unknown };
    readonly rules: { readonly sizes: { readonly [input: string]: number } };
  };
}

/** What scores a document for a query: `pipeline("text-ranking", model)` is one. */
export interface Reranker {
  encode(query: string, document: string, options?: { truncation?: boolean }): TextIds;
  score(pairs: readonly TextIds[], options: { signal?: AbortSignal }): Promise<readonly number[]>;
  readonly max_length: number;
}

export interface Limits {
  /** Bytes of a request's body. Default 2 MiB. */
  bytes: number;
  /** Texts of a request. Default 2048, as at OpenAI. */
  inputs: number;
  /** Tokens of a text: the model's limit is one anyway. */
  tokens: number;
  /** Tokens of a request. Default 300,000, as at OpenAI. */
  total_tokens: number;
  /** Texts that wait for a model; a request for which there is no room is refused with 429. Default 4096. */
  queue: number;
  /** Milliseconds that a request may take. Default 60,000. */
  time: number;
}

export interface EncodeOptions {
  truncate: boolean;
  prompt_name?: string;
}

interface Encoded extends Item {
  readonly ids: TextIds;
}

/** Characters that are tokenized between two turns of the event loop: a few milliseconds. */
const TURN = 32_768;

/** A model that is loaded when it is first asked for. One whose loading fails is tried again by the next request. */
export class Lazy<M> {
  #loading: Promise<M> | undefined;
  ready = false;

  constructor(
    readonly name: string,
    readonly load: () => Promise<M>,
  ) {}

  get(): Promise<M> {
    this.#loading ??= this.load().then(
      (model) => {
        this.ready = true;
        return model;
      },
      (cause) => {
        this.#loading = undefined;
        throw new ApiError(503, `${this.name} could not be loaded`, "model_not_loaded", "model", {}, { cause });
      },
    );
    return this.#loading;
  }
}

/** A model with its queue. */
abstract class Served<M, R> {
  readonly created = Math.floor(Date.now() / 1000);
  readonly #lazy: Lazy<M>;
  readonly #batcher: Batcher<Encoded, R>;

  constructor(
    readonly name: string,
    load: () => Promise<M>,
    protected readonly limits: Limits,
    batch: QueueOptions,
  ) {
    this.#lazy = new Lazy(name, load);
    this.#batcher = new Batcher(
      async (items, signal) =>
        this.run(
          await this.#lazy.get(),
          items.map(({ ids }) => ids),
          signal,
        ),
      batch,
    );
  }

  protected abstract run(model: M, texts: readonly TextIds[], signal: AbortSignal): Promise<readonly R[]>;

  /** Loads the model, unless that is done. */
  load(): Promise<M> {
    return this.#lazy.get();
  }

  get ready(): boolean {
    return this.#lazy.ready;
  }

  submit(items: readonly Encoded[], signal?: AbortSignal): Promise<readonly R[]> {
    return this.#batcher.submit(items, signal);
  }

  /** Encodes texts in turns, and counts. @throws ApiError 400, 413 */
  protected async each<T>(
    inputs: readonly T[],
    length: (input: T) => number,
    encode: (input: T, index: number) => { ids: TextIds; key: string },
  ): Promise<{ items: readonly Encoded[]; tokens: number }> {
    const items: Encoded[] = [];
    let tokens = 0;
    let characters = 0;
    for (const [i, input] of inputs.entries()) {
      const { ids, key } = encode(input, i);
      const cost = ids.input_ids.length;
      items.push({ ids, key, cost });
      tokens += cost;
      if (tokens > this.limits.total_tokens)
        throw new ApiError(
          413,
          `the request has more than ${this.limits.total_tokens} tokens`,
          "too_many_tokens",
          "input",
        );
      characters += length(input);
      if (characters < TURN || i + 1 === inputs.length) continue;
      characters = 0;
      await platform().pause();
    }
    return { items, tokens };
  }

  /** @throws ApiError 400 in OpenAI's words */
  protected fits(ids: TextIds, max_length: number, param: string): TextIds {
    const length = ids.input_ids.length;
    const most = Math.min(max_length, this.limits.tokens);
    if (length <= most) return ids;
    const words = `This model's maximum context length is ${most} tokens, however you requested ${length} tokens.`;
    throw invalid(param, `${words} Reduce your input, or send "truncate": true.`, "context_length_exceeded");
  }
}

interface LoadedEmbedder {
  readonly extract: Embedder;
  readonly dim: number;
  /** Lengths to which a vector may be cut, where the model was trained for that (arXiv:2205.13147). */
  readonly dimensions: readonly number[];
}

const pooling = ({ pools }: Embedder) => (pools ? {} : { pooling: "mean" as const });

/** The lengths that a config names, as those of Jina and Snowflake do. */
function matryoshka(raw: unknown, dim: number): number[] {
  const { matryoshka_dimensions, matryoshka_dims } = (raw ?? {}) as Record<string, unknown>;
  const list = matryoshka_dimensions ?? matryoshka_dims;
  return Array.isArray(list) ? list.filter((n) => Number.isInteger(n) && n > 0 && n < dim) : [];
}

export class EmbeddingModel extends Served<LoadedEmbedder, Float32Array> {
  constructor(name: string, load: () => Promise<Embedder>, limits: Limits, batch: QueueOptions) {
    const loaded = async () => {
      const extract = await load();
      // The first run is slower than all others, and says how long vectors are.
      const { dims } = await extract([extract.encode("")], { ...pooling(extract), normalize: true });
      return { extract, dim: dims[1], dimensions: matryoshka(extract.model.config.raw, dims[1]) };
    };
    super(name, loaded, limits, batch);
  }

  protected async run(
    { extract, dim }: LoadedEmbedder,
    texts: readonly TextIds[],
    signal: AbortSignal,
  ): Promise<Float32Array[]> {
    const { data } = await extract(texts, { ...pooling(extract), normalize: true, signal });
    return texts.map((_, i) => data.subarray(i * dim, (i + 1) * dim));
  }

  /** Texts, or ids of the model's own tokenizer. @throws ApiError, TokenOutOfRangeError */
  async encode(
    inputs: readonly (string | readonly number[])[],
    { truncate, prompt_name }: EncodeOptions,
    param = "input",
  ) {
    const { extract } = await this.load();
    const size = extract.model.rules.sizes.input_ids;
    const place = (i: number) => (inputs.length > 1 ? `${param}[${i}]` : param);
    return this.each(
      inputs,
      (input) => input.length,
      (input, i) => {
        if (typeof input === "string") {
          const whole = extract.encode(input, { prompt_name, truncation: truncate });
          return {
            ids: this.fits(whole, extract.max_length, place(i)),
            key: `${prompt_name ?? ""}\n${truncate}\n${input}`,
          };
        }
        const bad = input.find((id) => id >= size);
        if (bad !== undefined)
          throw new ApiError(
            422,
            `${place(i)} holds ${bad}: the model's ids end at ${size - 1}`,
            "token_out_of_range",
            place(i),
          );
        return { ids: this.fits({ input_ids: input }, extract.max_length, place(i)), key: `\n${input.join()}` };
      },
    );
  }

  /** Vectors of length 1, cut to `dimensions` where the model was trained for that. @throws ApiError 400 */
  async embed(items: readonly Encoded[], signal?: AbortSignal, dimensions?: number): Promise<readonly Float32Array[]> {
    const { dim, dimensions: some } = await this.load();
    if (dimensions !== undefined && dimensions !== dim && !some.includes(dimensions))
      throw invalid(
        "dimensions",
        `${this.name} gives ${[...some, dim].join(", ")} dimensions, not ${dimensions}`,
        "unsupported_dimensions",
      );
    const vectors = await this.submit(items, signal);
    if (dimensions === undefined || dimensions === dim) return vectors;
    return vectors.map((v) => {
      const cut = v.slice(0, dimensions);
      const norm = Math.sqrt(cut.reduce((sum, x) => sum + x * x, 0)) || 1;
      return cut.map((x) => x / norm);
    });
  }
}

export class RerankModel extends Served<Reranker, number> {
  protected run(model: Reranker, pairs: readonly TextIds[], signal: AbortSignal): Promise<readonly number[]> {
    return model.score(pairs, { signal });
  }

  async encode(query: string, documents: readonly string[], truncate: boolean) {
    const model = await this.load();
    return this.each(
      documents,
      (document) => query.length + document.length,
      (document, i) => ({
        ids: this.fits(model.encode(query, document, { truncation: truncate }), model.max_length, `documents[${i}]`),
        key: `${truncate}\n${query.length}\n${query}${document}`,
      }),
    );
  }
}

export type { BatchEvent };
