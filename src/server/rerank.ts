import type { Context } from "hono";
import { best } from "../tasks/scores.ts";
import { dot } from "../tasks/sentenceSimilarity.ts";
import { Body } from "./body.ts";
import { invalid } from "./errors.ts";
import type { EmbeddingModel, Limits, RerankModel } from "./models.ts";
import type { Env, Models } from "./types.ts";

/** Cohere's documents: strings, or objects with a text. */
function documentsOf(body: Body, name: string, limits: Limits): readonly string[] {
  return body.list(name, limits.inputs).map((document, i) => {
    const text = typeof document === "object" && document ? (document as { text?: unknown }).text : document;
    if (typeof text === "string") return text;
    throw invalid(`${name}[${i}]`, `${name}[${i}] must be a string or an object with a text`, "invalid_type");
  });
}

/**
 * Reranking as Cohere and Jina have it (`documents`, `top_n`, `results`), and text-embeddings-inference (`texts`, a plain list). Without a
 * cross-encoder documents stand in the order of their vectors' cosine with the query's; `method` says which it was.
 */
export const rerank =
  (rerankers: Models<RerankModel>, embedders: Models<EmbeddingModel>, limits: Limits) => async (c: Context<Env>) => {
    const body = await Body.of(c);
    const query = body.string("query");
    const tei = body.has("texts") && !body.has("documents");
    const documents = documentsOf(body, tei ? "texts" : "documents", limits);
    const top = body.count("top_n") ?? documents.length;
    const returned = body.flag(tei ? "return_text" : "return_documents", false);
    const truncate = body.flag("truncate", true);
    const name = body.optional("model");
    const signal = c.get("signal");

    const cross = rerankers.find(name);
    const model = cross ?? embedders.get(name);
    let scores: readonly number[];
    let tokens: number;
    if (cross) {
      const { items, tokens: all } = await cross.encode(query, documents, truncate);
      tokens = all;
      scores = await cross.submit(items, signal);
    } else {
      const embedder = model as EmbeddingModel;
      const { items, tokens: all } = await embedder.encode([query, ...documents], { truncate }, "documents");
      tokens = all;
      const [q, ...vectors] = await embedder.embed(items, signal);
      scores = vectors.map((v) => dot(q, v));
    }
    const found = best(
      scores.map((score, index) => ({ index, score })),
      top,
    );
    if (tei) return c.json(found.map((f) => (returned ? { ...f, text: documents[f.index] } : f)));
    return c.json({
      id: c.get("requestId"),
      object: "rerank",
      model: model.name,
      method: cross ? "cross-encoder" : "embedding",
      results: found.map(({ index, score }) => ({
        index,
        relevance_score: score,
        ...(returned && { document: { text: documents[index] } }),
      })),
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    });
  };
