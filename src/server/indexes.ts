import { type Context, Hono } from "hono";
import { Body } from "./body.ts";
import { ApiError, invalid } from "./errors.ts";
import type { EmbeddingModel, Limits } from "./models.ts";
import type { StoredDocument, Stores, VectorStore } from "./store.ts";
import type { Env, Models } from "./types.ts";

const NAME = /^[A-Za-z0-9][\w.-]{0,63}$/;

const missing = (name: string) => new ApiError(404, `there is no index '${name}'`, "index_not_found");

function documentsOf(body: Body, limits: Limits, needs_ids: boolean): readonly StoredDocument[] {
  const ids = new Set<string>();
  return body.list("documents", limits.inputs).map((value, i) => {
    const at = `documents[${i}]`;
    const document: Record<string, unknown> = typeof value === "string" ? { text: value } : { ...(value as object) };
    const { id = needs_ids ? undefined : crypto.randomUUID(), text, metadata } = document;
    if (typeof text !== "string") throw invalid(at, `${at} must be a string or an object with a text`, "invalid_type");
    if (typeof id !== "string" || !id) throw invalid(`${at}.id`, `${at}.id must be a string`, "invalid_type");
    if (metadata !== undefined && (typeof metadata !== "object" || !metadata || Array.isArray(metadata)))
      throw invalid(`${at}.metadata`, `${at}.metadata must be an object`, "invalid_type");
    if (ids.has(id)) throw invalid(`${at}.id`, `${at}.id comes twice`);
    ids.add(id);
    return { id, text, ...(metadata && { metadata: metadata as Record<string, unknown> }) };
  });
}

/** Indexes of documents: vectors of the first model. */
export function indexes(stores: Stores, models: Models<EmbeddingModel>, limits: Limits): Hono<Env> {
  const app = new Hono<Env>();
  const [model] = models.all;

  const nameOf = (c: Context<Env>) => {
    const name = c.req.param("name")!;
    if (NAME.test(name)) return name;
    throw invalid("name", "an index's name has up to 64 letters, digits, '.', '_' and '-'");
  };
  const store = async (c: Context<Env>, create = false): Promise<VectorStore> => {
    const name = nameOf(c);
    const { dim } = await model.load();
    const found = await stores.open(name, { model: model.name, dim }, create);
    if (!found) throw missing(name);
    return found;
  };

  const put = (needs_ids: boolean) => async (c: Context<Env>) => {
    const documents = documentsOf(await Body.of(c), limits, needs_ids);
    const into = await store(c, true);
    const { items, tokens } = await model.encode(
      documents.map(({ text }) => text),
      { truncate: true },
      "documents",
    );
    await into.put(documents, await model.embed(items, c.get("signal")));
    return c.json({ ids: documents.map(({ id }) => id), usage: { prompt_tokens: tokens, total_tokens: tokens } });
  };

  app.get("/", async (c) => c.json({ object: "list", data: (await stores.list()).map((name) => ({ name })) }));
  app.get("/:name", async (c) => c.json({ name: nameOf(c), model: model.name, size: await (await store(c)).size() }));
  app.delete("/:name", async (c) => {
    const name = nameOf(c);
    if (await stores.drop(name)) return c.json({ name, deleted: true });
    throw missing(name);
  });
  app.post("/:name/documents", put(false));
  app.put("/:name/documents", put(true));
  app.delete("/:name/documents", async (c) => {
    const ids = (await Body.of(c)).strings("ids", limits.inputs);
    return c.json({ deleted: await (await store(c)).remove(ids) });
  });
  app.post("/:name/search", async (c) => {
    const body = await Body.of(c);
    const query = body.any("query");
    const queries = typeof query === "string" ? [query] : body.strings("query", limits.inputs);
    const top_k = body.count("top_k") ?? 5;
    const from = await store(c);
    const { items, tokens } = await model.encode(queries, { truncate: body.flag("truncate", true) }, "query");
    const signal = c.get("signal");
    const found = await from.search(await model.embed(items, signal), top_k, signal);
    const results = typeof query === "string" ? found[0] : found;
    return c.json({ model: model.name, results, usage: { prompt_tokens: tokens, total_tokens: tokens } });
  });
  return app;
}
