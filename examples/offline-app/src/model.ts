/** The model, in a worker of its own: the page never waits for it. */

import type { Hit, Progress, Tensor, VectorIndex } from "wattention";
import modelFile from "wattention/models/default-embedder.safetensors?url";
import { connect, type Library, type Remote, type RemoteLibrary } from "wattention/worker";

/** Where the model is: its name holds its hash, so that it names the weights as well. */
export const MODEL = new URL(modelFile, document.baseURI);
export const MODEL_NAME = MODEL.pathname.slice(MODEL.pathname.lastIndexOf("/") + 1);

export interface CallOptions {
  signal?: AbortSignal;
  progress_callback?: (progress: { done: number; total: number }) => void;
}

export interface Attention {
  tokens: string[];
  /** 1 where a token is none of the text's own. */
  special: number[];
  /** One [1, heads, T, T] a layer. */
  layers: Tensor[];
}

/** Tokens that the attention view shows: more would not be readable. */
const MOST_TOKENS = 64;

interface LoadOptions {
  signal: AbortSignal;
  progress_callback: (progress: Progress) => void;
}

const POOLING = { pooling: "mean", normalize: true } as const;
const load = (library: RemoteLibrary<Library>, options: LoadOptions) =>
  library.pipeline("feature-extraction", MODEL, options);

export class Embedder {
  private constructor(
    readonly worker: Worker,
    readonly extract: Awaited<ReturnType<typeof load>>,
    readonly index: Remote<VectorIndex>,
    /** Numbers in a vector. */
    readonly dim: number,
  ) {}

  static async load(options: LoadOptions): Promise<Embedder> {
    const worker = new Worker(new URL("./worker.ts", import.meta.url), { type: "module", name: "model" });
    try {
      const library = connect(worker);
      const extract = await load(library, options);
      const [, dim] = (await extract("", POOLING)).dims;
      return new Embedder(worker, extract, await library.VectorIndex.create(dim), dim);
    } catch (error) {
      worker.terminate();
      throw error;
    }
  }

  /** Unit vectors, one row a text. */
  embed(texts: readonly string[], options?: CallOptions): Promise<Tensor> {
    return this.extract(texts, { ...POOLING, ...options });
  }

  /** The passages nearest to a query. */
  nearest(query: Tensor, top_k: number): Promise<Hit[]> {
    return this.index.search(query, { top_k }).then(([hits]) => hits);
  }

  async attention(text: string, signal?: AbortSignal): Promise<Attention> {
    const encoding = await this.extract.tokenizer.encode(text, { truncation: true, max_length: MOST_TOKENS });
    const { input_ids, tokens, special_tokens_mask: special } = encoding;
    const { attentions } = await this.extract.model.forward({ input_ids }, { outputs: ["attentions"], signal });
    return { tokens, special, layers: attentions as Tensor[] };
  }

  /** Bytes of the model with the largest run that it makes here. */
  async memory(): Promise<number> {
    return (await this.extract.model.plan({ batch: 16, length: 128 })).total;
  }

  close(): void {
    this.worker.terminate();
  }
}
