import { type Context, Hono, type MiddlewareHandler } from "hono";
import { bearerAuth } from "hono/bearer-auth";
import { bodyLimit } from "hono/body-limit";
import { cors } from "hono/cors";
import { HTTPException } from "hono/http-exception";
import { methodNotAllowed } from "hono/method-not-allowed";
import { requestId } from "hono/request-id";
import { type BatchEvent, type BatchOptions, QueueFullError } from "./batcher.ts";
import { completions } from "./completions.ts";
import { embeddings } from "./embeddings.ts";
import { ApiError, apiError } from "./errors.ts";
import { GenerationModel, type Writer } from "./generation.ts";
import { indexes } from "./indexes.ts";
import { type Embedder, EmbeddingModel, type Limits, type Reranker, RerankModel } from "./models.ts";
import { rerank } from "./rerank.ts";
import type { Stores } from "./store.ts";
import { type Env, Models } from "./types.ts";

export interface ApiOptions {
  /**
   * Embedding models by the names that requests give; the first is used where none is named. Each is loaded when it is first asked for:
   * `{ "my-model": () => pipeline("feature-extraction", …) }`.
   */
  models: { readonly [name: string]: () => Promise<Embedder> };
  /** Cross-encoders by name: `() => pipeline("text-ranking", …)`. Without any, /v1/rerank goes by the vectors' cosine. */
  rerankers?: { readonly [name: string]: () => Promise<Reranker> };
  /** Decoders by name: `() => pipeline("text-generation", …)`. Without any there are no completions. */
  generators?: { readonly [name: string]: () => Promise<Writer> };
  /** How many texts a decoder writes at a time, their steps in turn. Default 4. */
  writers?: number;
  /** Where indexes live; without it there are none. */
  indexes?: Stores;
  limits?: Partial<Limits>;
  batch?: BatchOptions;
  /** Requests must carry one of them: `Authorization: Bearer …`. /health is open to all. */
  tokens?: string | readonly string[];
  /** Origins of pages that may call; "*" for all. Default: none. */
  cors?: string | readonly string[];
  /** Once it fires, new requests are refused with 503, and /health says so: those under way go on. */
  closing?: AbortSignal;
  /** More routes, behind the same tokens. */
  routes?: (app: Hono<Env>) => void;
  onBatch?: (model: string, event: BatchEvent) => void;
  /** How many texts wait for a model, whenever that changes. */
  onQueue?: (model: string, waiting: number) => void;
  /** Errors that are the server's own, which clients hear nothing of. */
  onError?: (error: unknown, c: Context) => void;
}

const LIMITS: Limits = {
  bytes: 2 * 1024 * 1024,
  inputs: 2048,
  tokens: Number.POSITIVE_INFINITY,
  total_tokens: 300_000,
  queue: 4096,
  time: 60_000,
};

/** Ends a request whose client goes away or whose time is over. */
const timed =
  (time: number): MiddlewareHandler<Env> =>
  async (c, next) => {
    const control = new AbortController();
    const late = () => control.abort(new ApiError(504, `the request took longer than ${time} ms`, "timeout"));
    const timer = setTimeout(late, time);
    const gone: AbortSignal | undefined = c.req.raw.signal;
    const leave = () => control.abort(gone?.reason);
    gone?.addEventListener("abort", leave);
    c.set("signal", control.signal);
    try {
      await next();
    } finally {
      clearTimeout(timer);
      gone?.removeEventListener("abort", leave);
    }
  };

/** Refuses bodies that are too long: by what the head says, else by counting. */
function limited(maxSize: number): MiddlewareHandler {
  const onError = (): never => {
    throw new ApiError(413, `the body has more than ${maxSize} bytes`, "body_too_large");
  };
  const counted = bodyLimit({ maxSize, onError });
  return (c, next) => {
    const length = c.req.header("content-length");
    // Hono's own reads the body as a stream to learn whether there is one, which costs Node more than the whole request.
    if (length === undefined || c.req.header("transfer-encoding")) return counted(c, next);
    return Number(length) > maxSize ? onError() : next();
  };
}

const unauthorized = (code: string) => ({
  error: {
    message: "send a valid token: Authorization: Bearer …",
    type: "invalid_request_error",
    param: null,
    code,
  },
});

/**
 * An HTTP API over models: OpenAI's /v1/embeddings, /v1/models and (chat) completions, Cohere's and Jina's /v1/rerank, indexes of documents, /health. It runs wherever Hono
 * does: `export default api({ models: { default: () => pipeline("feature-extraction") } })`. Errors have OpenAI's shape.
 */
export function api(options: ApiOptions): Hono<Env> {
  const limits = { ...LIMITS, ...options.limits };
  const { closing } = options;
  const queueOf = (name: string) => ({
    ...options.batch,
    queue: limits.queue,
    onBatch: (event: BatchEvent) => options.onBatch?.(name, event),
    onQueue: (waiting: number) => options.onQueue?.(name, waiting),
  });
  const models = new Models(
    Object.entries(options.models).map(([name, load]) => new EmbeddingModel(name, load, limits, queueOf(name))),
  );
  const rerankers = new Models(
    Object.entries(options.rerankers ?? {}).map(([name, load]) => new RerankModel(name, load, limits, queueOf(name))),
  );
  const lanes = options.writers ?? 4;
  const generators = new Models(
    Object.entries(options.generators ?? {}).map(
      ([name, load]) => new GenerationModel(name, load, limits, { ...queueOf(name), lanes }),
    ),
  );
  const all = [...models.all, ...rerankers.all, ...generators.all];

  const app = new Hono<Env>();
  app.use(requestId());
  if (options.cors) app.use(cors({ origin: options.cors as string | string[], maxAge: 600 }));
  app.use(
    methodNotAllowed({
      app,
      onMethodNotAllowed: (c, methods) =>
        c.json(new ApiError(405, `${c.req.method} is not allowed here`, "method_not_allowed").body, 405, {
          Allow: methods.join(", "),
        }),
    }),
  );
  app.onError((error, c) => {
    if (error instanceof HTTPException) return error.getResponse();
    const busy = error instanceof QueueFullError;
    const found = busy
      ? new ApiError(429, `${error.message}: try again later`, "queue_full", null, {
          "Retry-After": `${error.retry_after}`,
        })
      : apiError(c.get("signal")?.reason instanceof ApiError ? c.get("signal").reason : error);
    if (found.cause) options.onError?.(found.cause, c);
    return c.json(found.body, found.status, found.headers);
  });
  app.notFound((c) => c.json(new ApiError(404, `there is no ${c.req.path}`, "not_found").body, 404));

  const live = (c: Context) => c.json({ status: "ok" });
  const ready = (c: Context) => {
    if (closing?.aborted) return c.json({ status: "closing" }, 503);
    // Nobody else may ask for the model before this says that it is there.
    const waits = all.filter((m) => !m.ready);
    for (const m of waits) m.load().catch((error) => options.onError?.(error, c));
    return waits.length ? c.json({ status: "loading", models: waits.map((m) => m.name) }, 503) : live(c);
  };
  app.get("/health", ready);
  app.get("/health/ready", ready);
  app.get("/health/live", live);

  if (options.tokens?.length) {
    const token = [options.tokens].flat() as string[];
    const headers = unauthorized("missing_api_key");
    const wrong = unauthorized("invalid_api_key");
    app.use(
      bearerAuth({
        token,
        noAuthenticationHeader: { message: headers },
        invalidAuthenticationHeader: { message: wrong },
        invalidToken: { message: wrong },
      }),
    );
  }
  options.routes?.(app);
  app.use(async (_, next) => {
    if (closing?.aborted) throw new ApiError(503, "the server is closing", "closing", null, { "Retry-After": "1" });
    await next();
  });
  app.use(limited(limits.bytes), timed(limits.time));

  const about = ({ name, created }: { name: string; created: number }) => ({
    id: name,
    object: "model",
    created,
    owned_by: "wattention",
  });
  app.get("/v1/models", (c) => c.json({ object: "list", data: all.map(about) }));
  app.get("/v1/models/:model{.+}", (c) => c.json(about(new Models<(typeof all)[0]>(all).get(c.req.param("model")))));
  app.post("/v1/embeddings", embeddings(models, limits));
  const ranks = rerank(rerankers, models, limits);
  app.post("/v1/rerank", ranks);
  app.post("/rerank", ranks);
  if (generators.all.length) {
    app.post("/v1/chat/completions", completions(generators, limits, "chat"));
    app.post("/v1/completions", completions(generators, limits, "text"));
  }
  if (options.indexes) app.route("/v1/indexes", indexes(options.indexes, models, limits));
  return app;
}
