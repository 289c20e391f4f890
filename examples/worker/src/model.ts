/** The models: where they come from, and one of each for all requests of an isolate. */
import { env, waitUntil } from "cloudflare:workers";
import { type FeatureExtraction, pipeline, type Tensor, type TextRanking } from "wattention";

export const EMBEDDER = env.EMBEDDER ?? "default-embedder.safetensors";

const bundled = new Map<string, ArrayBuffer>();
export const bundle = (name: string, bytes: ArrayBuffer) => bundled.set(name, bytes);

/** A packed model, from the first place that is bound. Streams go straight into linear memory: no isolate holds a model twice. */
async function open(name: string): Promise<ArrayBuffer | ReadableStream<Uint8Array>> {
  const bytes =
    bundled.get(name) ??
    (env.MODELS_R2 && (await fromR2(env.MODELS_R2, name))) ??
    (await env.MODELS_KV?.get(name, { type: "stream", cacheTtl: 86400 })) ??
    (env.ASSETS && (await fromAssets(env.ASSETS, name)));
  if (!bytes) throw new Error(`no model ${name} in what is bound`);
  return bytes;
}

async function fromAssets(assets: Fetcher, name: string) {
  const response = await assets.fetch(`https://assets/${name}`);
  return response.ok ? response.body : undefined;
}

/** From the cache of this data centre, where a first request puts it (a worker on workers.dev has none, and reads R2 each time). */
async function fromR2(bucket: R2Bucket, name: string) {
  const key = `https://models.invalid/${name}`;
  const cached = await caches.default.match(key);
  if (cached) return cached.body;
  const object = await bucket.get(name);
  if (!object) return;
  const headers = { "cache-control": "max-age=86400", "content-length": String(object.size) };
  await caches.default.put(key, new Response(object.body, { headers }));
  return (await caches.default.match(key))?.body ?? (await bucket.get(name))?.body;
}

/**
 * Loads at the first request: a worker may not read anything before. All requests of the isolate wait for that one load.
 */
function once<T>(load: () => Promise<T>): () => Promise<T> {
  let loaded: Promise<T> | undefined;
  return () => {
    if (!loaded) {
      loaded = load();
      loaded.catch(() => {
        loaded = undefined;
      });
    }
    return lasting(loaded);
  };
}

/**
 * Work that several requests depend on: loading, and runs of one model, which queue. It must not end with the request that began it, whose
 * client may leave: `waitUntil`. And a request that waits for nothing but another one's work counts as hung, and is ended by the runtime:
 * a timer of its own keeps it.
 */
export async function lasting<T>(work: Promise<T>): Promise<T> {
  waitUntil(work.catch(() => {}));
  const timer = setInterval(() => {}, 1000);
  try {
    return await work;
  } finally {
    clearInterval(timer);
  }
}

export const embedder = once<FeatureExtraction>(async () => pipeline("feature-extraction", await open(EMBEDDER)));

const { RERANKER } = env;
/** A cross-encoder, if the variable RERANKER names one. */
export const reranker =
  RERANKER === undefined ? undefined : once<TextRanking>(async () => pipeline("text-ranking", await open(RERANKER)));

/** Vectors of length 1, [n, dimensions]. */
export async function embed(texts: readonly string[], signal?: AbortSignal): Promise<Tensor> {
  const extract = await embedder();
  const pooling = extract.pools ? {} : { pooling: "mean" as const };
  return lasting(extract(texts, { ...pooling, normalize: true, signal }));
}
