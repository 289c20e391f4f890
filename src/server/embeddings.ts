import type { Context } from "hono";
import { encodeBase64 } from "hono/utils/encode";
import { Body, few } from "./body.ts";
import { invalid } from "./errors.ts";
import type { EmbeddingModel, Limits } from "./models.ts";
import type { Env, Models } from "./types.ts";

/** The forms that OpenAI's `input` has, as a list. */
function inputsOf(body: Body, limits: Limits): readonly (string | readonly number[])[] {
  const input = body.any("input");
  if (typeof input === "string") return [input];
  const list = body.list("input", Number.POSITIVE_INFINITY);
  if (list.every((t) => typeof t === "string")) return few("input", list, limits.inputs);
  const ids = (t: unknown): t is number[] =>
    Array.isArray(t) && t.length > 0 && t.every((id) => Number.isSafeInteger(id) && id >= 0);
  if (ids(list)) return [list];
  if (list.every(ids)) return few("input", list, limits.inputs);
  throw invalid(
    "input",
    "input must be a string, an array of strings, of token ids, or of arrays of token ids",
    "invalid_type",
  );
}

export const base64 = (vector: Float32Array): string => encodeBase64(vector.slice().buffer as ArrayBuffer);

/** https://platform.openai.com/docs/api-reference/embeddings, with `truncate` and `prompt_name` as text-embeddings-inference has them. */
export const embeddings = (models: Models<EmbeddingModel>, limits: Limits) => async (c: Context<Env>) => {
  const body = await Body.of(c);
  const inputs = inputsOf(body, limits);
  const format = body.choice("encoding_format", ["float", "base64"]);
  const dimensions = body.count("dimensions");
  body.optional("user");
  const options = { truncate: body.flag("truncate", false), prompt_name: body.optional("prompt_name") };
  const model = models.get(body.optional("model"));
  const { items, tokens } = await model.encode(inputs, options);
  const vectors = await model.embed(items, c.get("signal"), dimensions);
  return c.json({
    object: "list",
    data: vectors.map((v, index) => ({
      object: "embedding",
      index,
      embedding: format === "base64" ? base64(v) : Array.from(v),
    })),
    model: model.name,
    usage: { prompt_tokens: tokens, total_tokens: tokens },
  });
};
