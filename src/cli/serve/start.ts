import { basename } from "node:path";
import { type Context, Hono } from "hono";
import type { LoadOptions } from "../../models/model.ts";
import { api, type Embedder, type Reranker } from "../../server/index.ts";
import { pipeline } from "../../tasks/pipeline.ts";
import type { CommonOptions } from "../io.ts";
import { listen } from "./listen.ts";
import { metrics } from "./metrics.ts";

export interface ServeOptions extends CommonOptions {
  name?: string;
  port: number;
  host: string;
  rerank?: string;
  generate?: string;
  writers?: number;
  token?: string[];
  cors?: string[];
  index?: string;
  maxBody?: number;
  maxInputs?: number;
  maxTokens?: number;
  maxQueue?: number;
  timeout?: number;
  batchTokens?: number;
  batchTexts?: number;
  batchWindow?: number;
  threads?: number;
  grace: number;
  quiet?: boolean;
}

/** One line of JSON on standard output. */
function log(event: string, about: object = {}): void {
  process.stdout.write(`${JSON.stringify({ time: new Date().toISOString(), event, ...about })}\n`);
}

const nameOf = (model: string | undefined, usual: string) =>
  model === undefined ? usual : basename(model.replace(/[\\/]+$/, "")).replace(/\.(safetensors|gguf)$/, "");

const path = (c: Context) => new URL(c.req.url).pathname;

/** Serves until SIGTERM or Ctrl-C; requests under way then have `grace` milliseconds. */
export async function start(o: ServeOptions, loading: LoadOptions, signal: AbortSignal, thread: URL): Promise<void> {
  const closing = new AbortController();
  const measured = await metrics();
  const name = o.name ?? nameOf(o.model, "default-embedder");
  const { index, rerank, generate } = o;
  const stores = index === undefined ? undefined : await (await import("./durable.ts")).durableStores(index);

  const { dtype, deterministic, endpoint, revision, threads } = o;
  const options = { dtype, deterministic, endpoint, revision };
  const embedder = async (): Promise<Embedder> => {
    const own = await pipeline("feature-extraction", o.model, loading);
    if (!threads) return own;
    const { threadedEmbedder } = await import("./threads.ts");
    return threadedEmbedder(own, threads, thread, { task: "feature-extraction", model: o.model, options });
  };
  const reranker = async (): Promise<Reranker> => {
    const own = await pipeline("text-ranking", rerank, loading);
    if (!threads) return own;
    const { threadedReranker } = await import("./threads.ts");
    return threadedReranker(own, threads, thread, { task: "text-ranking", model: rerank, options });
  };

  // What cannot be loaded is not served: nobody should wait for it.
  const embeds = embedder();
  const reranks = rerank === undefined ? undefined : reranker();
  const writes = generate === undefined ? undefined : pipeline("text-generation", generate, loading);
  const loaded = Promise.all([embeds, reranks, writes]);
  loaded.catch(() => {});

  const served = api({
    models: { [name]: () => embeds },
    rerankers: reranks && { [nameOf(rerank, "")]: () => reranks },
    generators: writes && { [nameOf(generate, "")]: () => writes },
    writers: o.writers,
    indexes: stores,
    limits: defined({
      bytes: o.maxBody,
      inputs: o.maxInputs,
      total_tokens: o.maxTokens,
      queue: o.maxQueue,
      time: o.timeout,
    }),
    batch: defined({ tokens: o.batchTokens, texts: o.batchTexts, window: o.batchWindow, lanes: threads }),
    tokens: o.token,
    cors: o.cors?.includes("*") ? "*" : o.cors,
    closing: closing.signal,
    onQueue: measured.onQueue,
    onBatch: measured.onBatch,
    onError: (error, c) =>
      log("error", { id: c.get("requestId"), path: path(c), error: `${error}`, stack: (error as Error)?.stack }),
    routes: (app) =>
      app.get("/metrics", async (c) => c.body(await measured.text(), 200, { "Content-Type": measured.type })),
  });
  const app = new Hono();
  let under_way = 0;
  app.use(async (_, next) => {
    under_way++;
    await next().finally(() => under_way--);
  });
  app.use(measured.timed);
  if (!o.quiet)
    app.use(async (c, next) => {
      const begin = performance.now();
      await next();
      const ms = Math.round((performance.now() - begin) * 10) / 10;
      log("request", {
        id: c.res.headers.get("x-request-id"),
        method: c.req.method,
        path: path(c),
        status: c.res.status,
        ms,
      });
    });
  app.route("/", served);

  const server = await listen((request) => app.fetch(request), {
    port: o.port,
    hostname: o.host,
    timeout: o.timeout ?? 60_000,
  });
  log("listening", { url: server.url, model: name });
  try {
    await loaded;
  } catch (error) {
    const closed = server.close();
    server.cut();
    await closed;
    await stores?.close();
    throw error;
  }
  await served.request("/health"); // begins the first run

  const reason = await new Promise<string>((resolve) => {
    process.once("SIGTERM", () => resolve("SIGTERM"));
    signal.addEventListener("abort", () => resolve("SIGINT"));
    if (signal.aborted) resolve("SIGINT");
  });
  log("closing", { reason, under_way });
  closing.abort();
  let cut = false;
  const late = setTimeout(() => {
    cut = true;
    server.cut();
  }, o.grace);
  await server.close();
  clearTimeout(late);
  await stores?.close();
  log("closed", { cut });
  process.exit(cut ? 1 : 0); // whatever still runs has nobody to answer
}

/** Without the members that are undefined: those of defaults stand. */
function defined<T extends object>(values: T): { [K in keyof T]: NonNullable<T[K]> } {
  return Object.fromEntries(Object.entries(values).filter(([, v]) => v !== undefined)) as never;
}
