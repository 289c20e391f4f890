import { Hono } from "hono";
import { encodeBase64 } from "hono/utils/encode";
import { body, choice, integer, LIMITS, list, Refusal, text } from "./input.ts";
import { EMBEDDER, embed, embedder, lasting, reranker } from "./model.ts";

const MODEL = EMBEDDER.replace(/\.safetensors$/, "");

/** One text or several, as a list. */
const texts = (value: unknown, param: string): string[] =>
  typeof value === "string" ? [text(value, param)] : list(value, param, text);

/** Tokens of texts, all of which the model must take whole. */
async function count(all: readonly string[], param: string): Promise<number> {
  const { tokenizer } = await embedder();
  const most = tokenizer.model_max_length ?? Number.POSITIVE_INFINITY;
  let tokens = 0;
  for (const [i, one] of all.entries()) {
    const { length } = tokenizer.encode(one).input_ids;
    if (length > most)
      throw new Refusal(
        400,
        "invalid_request_error",
        `${param}[${i}]: has ${length} tokens, the limit is ${most}`,
        param,
      );
    tokens += length;
  }
  return tokens;
}

export const embeddings = new Hono()
  /** Texts to vectors of length 1; what is longer than the model takes is cut. */
  .post("/embed", async (c) => {
    const vectors = await embed(texts((await body(c)).texts, "texts"), c.req.raw.signal);
    return c.json({ model: MODEL, dimensions: vectors.dims[1], embeddings: vectors.tolist() });
  })

  /** https://platform.openai.com/docs/api-reference/embeddings: clients of OpenAI's need another base URL, and no other change. */
  .post("/v1/embeddings", async (c) => {
    const input = await body(c);
    const all = texts(input.input, "input");
    const format = choice(input.encoding_format, "encoding_format", ["float", "base64"]);
    if (input.model !== undefined && input.model !== MODEL)
      throw new Refusal(404, "model_not_found", `there is the model ${MODEL}, no other`, "model");
    const prompt_tokens = await count(all, "input");
    const { data, dims } = await embed(all, c.req.raw.signal);
    const [, size] = dims;
    // A vector that was not trained for it loses more than a part of its meaning with a part of its numbers.
    integer(input.dimensions, "dimensions", size, size, size);
    const vector = (i: number) => data.slice(i * size, (i + 1) * size);
    return c.json({
      object: "list",
      data: all.map((_, index) => ({
        object: "embedding",
        index,
        embedding: format === "base64" ? encodeBase64(vector(index).buffer as ArrayBuffer) : [...vector(index)],
      })),
      model: MODEL,
      usage: { prompt_tokens, total_tokens: prompt_tokens },
    });
  })

  /** Documents by how well they fit the query: by a cross-encoder, if RERANKER names one, else by their vectors' cosine. `method` says which. */
  .post("/rerank", async (c) => {
    const input = await body(c);
    const query = text(input.query, "query");
    const documents = list(input.documents, "documents", text);
    const top = integer(input.top_n, "top_n", documents.length, 1, LIMITS.texts);
    const { signal } = c.req.raw;
    const scored = reranker
      ? (await lasting((await reranker())(query, documents, { signal }))).map((r) => ({
          index: r.corpus_id,
          score: r.score,
        }))
      : await byCosine(query, documents, signal);
    const results = scored.sort((a, b) => b.score - a.score || a.index - b.index).slice(0, top);
    return c.json({
      method: reranker ? "cross-encoder" : "embedding",
      results: results.map(({ index, score }) => ({
        index,
        relevance_score: score,
        document: { text: documents[index] },
      })),
    });
  });

async function byCosine(query: string, documents: readonly string[], signal: AbortSignal) {
  const { data, dims } = await embed([query, ...documents], signal);
  const [, size] = dims;
  return documents.map((_, index) => {
    let score = 0;
    for (let k = 0; k < size; k++) score += data[k] * data[(index + 1) * size + k];
    return { index, score };
  });
}
