/** Engines in worker threads: the event loop stays free for HTTP, and several cores work. */

import { Worker } from "node:worker_threads";
import { EngineError } from "../../errors.ts";
import type { LoadOptions } from "../../models/model.ts";
import type { Embedder, Reranker } from "../../server/index.ts";
import type { TextIds } from "../../tasks/text.ts";

export interface ThreadData {
  readonly task: "feature-extraction" | "text-ranking";
  readonly model: string | undefined;
  readonly options: Pick<LoadOptions, "dtype" | "deterministic" | "endpoint" | "revision">;
}

export interface Job {
  readonly id: number;
  readonly texts: readonly TextIds[];
  readonly options: { pooling?: "mean"; normalize?: true };
}

export interface Answer {
  readonly id: number;
  readonly data?: Float32Array;
  readonly error?: { name: string; message: string };
}

interface Waits {
  resolve(data: Float32Array): void;
  reject(error: unknown): void;
}

class Thread {
  #worker: Worker | undefined;
  readonly #waiting = new Map<number, Waits>();
  #last = 0;

  constructor(
    readonly url: URL,
    readonly data: ThreadData,
  ) {
    this.#start();
  }

  /** Jobs that it has. */
  get load(): number {
    return this.#waiting.size;
  }

  #start(): Worker {
    const worker = new Worker(this.url, { workerData: this.data });
    worker.unref(); // it must not keep a server that is done
    worker.on("message", ({ id, data, error }: Answer) => {
      const waits = this.#waiting.get(id);
      this.#waiting.delete(id);
      if (data) waits?.resolve(data);
      else waits?.reject(Object.assign(new Error(error?.message), { name: error?.name }));
    });
    const over = (cause: unknown) => {
      this.#worker = undefined; // the next job starts another
      for (const { reject } of this.#waiting.values()) reject(new EngineError(`a thread ended: ${cause}`, { cause }));
      this.#waiting.clear();
    };
    worker.on("error", over);
    worker.on("exit", over);
    this.#worker = worker;
    return worker;
  }

  run(texts: readonly TextIds[], options: Job["options"], signal?: AbortSignal): Promise<Float32Array> {
    const worker = this.#worker ?? this.#start();
    const id = ++this.#last;
    const abort = () => worker.postMessage({ abort: id });
    return new Promise<Float32Array>((resolve, reject) => {
      this.#waiting.set(id, { resolve, reject });
      worker.postMessage({ id, texts, options } satisfies Job);
      signal?.addEventListener("abort", abort, { once: true });
    }).finally(() => signal?.removeEventListener("abort", abort));
  }
}

/** The one with the least to do. */
const idle = (threads: readonly Thread[]) => threads.reduce((a, b) => (b.load < a.load ? b : a));

const start = (count: number, url: URL, data: ThreadData) => Array.from({ length: count }, () => new Thread(url, data));

/** An embedder whose texts are encoded here and run in threads. */
export function threadedEmbedder(own: Embedder, count: number, url: URL, data: ThreadData): Embedder {
  const threads = start(count, url, data);
  const run: Pick<Embedder, keyof Embedder> & ((...args: Parameters<Embedder>) => ReturnType<Embedder>) = Object.assign(
    async (texts: readonly TextIds[], { signal, ...options }: Parameters<Embedder>[1]) => {
      const all = await idle(threads).run(texts, options, signal);
      return { data: all, dims: [texts.length, all.length / texts.length] };
    },
    { encode: own.encode, pools: own.pools, max_length: own.max_length, model: own.model },
  );
  return run;
}

export function threadedReranker(own: Reranker, count: number, url: URL, data: ThreadData): Reranker {
  const threads = start(count, url, data);
  return {
    encode: own.encode,
    max_length: own.max_length,
    score: async (pairs, { signal }) => Array.from(await idle(threads).run(pairs, {}, signal)),
  };
}
