import { env } from "cloudflare:workers";
import { Hono } from "hono";
import type { Refused, StoredDocument } from "./documents.ts";
import { body, integer, LIMITS, list, Refusal, text } from "./input.ts";
import { EMBEDDER, embed } from "./model.ts";

const STATUS = { not_found: 404, conflict: 409, index_full: 507 } as const;

function index(name: unknown = "default") {
  if (typeof name !== "string" || !/^[\w.-]{1,64}$/.test(name))
    throw new Refusal(400, "invalid_request_error", "index: must be 1 to 64 letters, digits or . _ -", "index");
  return env.INDEXES.getByName(name);
}

function accepted<T extends object>(result: T | Refused): T {
  if ("refused" in result) throw new Refusal(STATUS[result.refused], result.refused, result.message);
  return result;
}

const id = (value: unknown, param: string) => text(value, param, 512);

/** A string is its own id. */
function document(value: unknown, param: string): StoredDocument {
  if (typeof value === "string") return { id: id(value, param), text: value };
  const { metadata, ...rest } = (value ?? {}) as Partial<StoredDocument>;
  return { id: id(rest.id, `${param}.id`), text: text(rest.text, `${param}.text`), metadata };
}

/** The worker makes the vectors, on as many isolates as there is load; the object of an index keeps them and compares. */
export const search = new Hono()
  .post("/search", async (c) => {
    const input = await body(c);
    const query = text(input.query, "query");
    const top_k = integer(input.top_k, "top_k", 5, 1, LIMITS.top_k);
    const from = index(input.index);
    const { data } = await embed([query], c.req.raw.signal);
    return c.json({ results: accepted(await from.search(data, EMBEDDER, top_k)) });
  })
  .get("/indexes/:index", async (c) => c.json(accepted(await index(c.req.param("index")).about())))
  .delete("/indexes/:index", async (c) => {
    await index(c.req.param("index")).clear();
    return c.body(null, 204);
  })
  .post("/indexes/:index/documents", async (c) => {
    const to = index(c.req.param("index"));
    const documents = list((await body(c)).documents, "documents", document);
    if (new Set(documents.map((d) => d.id)).size < documents.length)
      throw new Refusal(400, "invalid_request_error", "documents: an id comes twice", "documents");
    const vectors = await embed(
      documents.map((d) => d.text),
      c.req.raw.signal,
    );
    return c.json(accepted(await to.add(documents, vectors.data, EMBEDDER)));
  })
  .post("/indexes/:index/documents/delete", async (c) => {
    const from = index(c.req.param("index"));
    return c.json(accepted(await from.remove(list((await body(c)).ids, "ids", id))));
  });
