import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type FeatureExtraction, pipeline } from "../../src/host/node.ts";
import { api } from "../../src/server/index.ts";

let extract: FeatureExtraction;
beforeAll(async () => {
  extract = await pipeline("feature-extraction");
});
afterAll(() => extract.dispose());

const app = api({ models: { mini: async () => extract }, limits: { inputs: 8, bytes: 4000, total_tokens: 1200 } });

/** As the `openai` package (6.x) sends it. */
const post = (path: string, body: unknown, headers: Record<string, string> = {}) =>
  app.request(path, {
    method: "POST",
    headers: { accept: "application/json", "content-type": "application/json", authorization: "Bearer x", ...headers },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });

const embed = async (body: object) => (await post("/v1/embeddings", { model: "mini", ...body })).json();
const refused = async (body: unknown, headers?: Record<string, string>) => {
  const response = await post("/v1/embeddings", body, headers);
  return { status: response.status, ...(await response.json()).error };
};

describe("/v1/embeddings", () => {
  it("answers in the shape that OpenAI documents", async () => {
    const body = await embed({ input: "The food was delicious and the waiter...", encoding_format: "float" });
    const { data, dims } = await extract("The food was delicious and the waiter...", { normalize: true });
    const tokens = extract.tokenizer.encode("The food was delicious and the waiter...").input_ids.length;
    expect(body).toEqual({
      object: "list",
      data: [{ object: "embedding", index: 0, embedding: Array.from(data) }],
      model: "mini",
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    });
    expect(body.data[0].embedding).toHaveLength(dims[1]);
  });

  it("takes every form of input, and gives each text the vector it has alone", async () => {
    const texts = ["a cat", "a much longer text about a dog in the rain", ""];
    const ids = texts.map((t) => extract.tokenizer.encode(t).input_ids);
    const wanted = await Promise.all(texts.map(async (t) => Array.from((await extract(t, { normalize: true })).data)));
    const vectors = async (input: unknown) =>
      (await embed({ input })).data.map((d: { embedding: number[] }) => d.embedding);
    expect(await vectors(texts)).toEqual(wanted);
    expect(await vectors(ids)).toEqual(wanted);
    expect(await vectors(texts[1])).toEqual([wanted[1]]);
    expect(await vectors(ids[1])).toEqual([wanted[1]]);
  });

  it("gives the same floats in base64", async () => {
    const input = ["one text", "another text"];
    const floats = await embed({ input, encoding_format: "float" });
    const base64 = await embed({ input, encoding_format: "base64" });
    for (const [i, { embedding }] of base64.data.entries()) {
      // What the openai package does.
      const bytes = Buffer.from(embedding, "base64");
      const decoded = new Float32Array(bytes.buffer, bytes.byteOffset, bytes.length / 4);
      expect(Array.from(decoded)).toEqual(floats.data[i].embedding);
    }
  });

  it("refuses in OpenAI's shape", async () => {
    const response = await post("/v1/embeddings", "{");
    expect(response.status).toBe(400);
    expect(await response.json()).toEqual({
      error: {
        message: "the body is not valid JSON",
        type: "invalid_request_error",
        param: null,
        code: "invalid_json",
      },
    });
    expect(response.headers.get("x-request-id")).toBeTruthy();
  });

  it.each([
    ["no input", {}, 400, "input", "missing_required_parameter"],
    ["null for input", { input: null }, 400, "input", "missing_required_parameter"],
    ["a number for input", { input: 3 }, 400, "input", "invalid_type"],
    ["nothing in the list", { input: [] }, 400, "input", "empty_array"],
    ["a list of kinds", { input: ["a", 3] }, 400, "input", "invalid_type"],
    ["an id that is no whole number", { input: [1.5] }, 400, "input", "invalid_type"],
    ["an empty list of ids", { input: [[1], []] }, 400, "input", "invalid_type"],
    ["an id that the model lacks", { input: [[5], [99_999_999]] }, 422, "input[1]", "token_out_of_range"],
    ["an unknown format", { input: "a", encoding_format: "hex" }, 400, "encoding_format", "invalid_value"],
    ["dimensions of another model", { input: "a", dimensions: 100 }, 400, "dimensions", "unsupported_dimensions"],
    ["dimensions that are no number", { input: "a", dimensions: "256" }, 400, "dimensions", "invalid_value"],
    ["an unknown model", { input: "a", model: "gpt" }, 404, "model", "model_not_found"],
    ["an unknown prompt", { input: "a", prompt_name: "nope" }, 422, "input", "unprocessable_input"],
    ["too many texts", { input: Array(9).fill("a") }, 413, "input", "too_many_inputs"],
    ["too many tokens", { input: Array(8).fill("a ".repeat(200)) }, 413, "input", "too_many_tokens"],
    ["a text that is too long", { input: ["a", "b ".repeat(600)] }, 400, "input[1]", "context_length_exceeded"],
    ["a body that is too long", { input: "a".repeat(5000) }, 413, null, "body_too_large"],
    ["a list for a body", [1], 400, null, "invalid_json"],
  ])("refuses %s", async (_, body, status, param, code) => {
    expect(await refused(body)).toMatchObject({ status, param, code, type: "invalid_request_error" });
  });

  it("cuts a text that is too long if it is asked to", async () => {
    const text = "b ".repeat(600);
    const { data, usage } = await embed({ input: text, truncate: true });
    expect(data[0].embedding).toEqual(Array.from((await extract(text, { normalize: true })).data));
    expect(usage.prompt_tokens).toBe(extract.max_length);
  });

  it("takes dimensions that are the model's", async () => {
    const [, dim] = (await extract("a")).dims;
    expect((await embed({ input: "a", dimensions: dim })).data[0].embedding).toHaveLength(dim);
  });

  it("refuses other media types, methods and paths", async () => {
    expect(await refused("input=a", { "content-type": "application/x-www-form-urlencoded" })).toMatchObject({
      status: 415,
      code: "unsupported_media_type",
    });
    const get = await app.request("/v1/embeddings");
    expect([get.status, get.headers.get("allow")]).toEqual([405, "POST"]);
    expect((await get.json()).error.code).toBe("method_not_allowed");
    const none = await app.request("/v1/nothing");
    expect([none.status, (await none.json()).error.code]).toEqual([404, "not_found"]);
  });

  it("counts a body that does not say how long it is", async () => {
    const body = new Blob([JSON.stringify({ input: "a".repeat(5000) })]).stream();
    const init = { method: "POST", headers: { "content-type": "application/json" }, body, duplex: "half" };
    expect((await app.request("/v1/embeddings", init as RequestInit)).status).toBe(413);
  });
});

describe("/v1/models and /health", () => {
  it("lists models as OpenAI does", async () => {
    const list = await (await app.request("/v1/models")).json();
    expect(list).toEqual({
      object: "list",
      data: [{ id: "mini", object: "model", created: expect.any(Number), owned_by: "wattention" }],
    });
    expect(await (await app.request("/v1/models/mini")).json()).toEqual(list.data[0]);
    expect((await app.request("/v1/models/gpt")).status).toBe(404);
  });

  it("is ready once the models are loaded, and not while it closes", async () => {
    const closing = new AbortController();
    let load = () => {};
    const loading = new Promise<void>((resolve) => {
      load = resolve;
    });
    const slow = api({ models: { mini: () => loading.then(() => extract) }, closing: closing.signal });
    const health = async (path = "/health") => {
      const response = await slow.request(path);
      return [response.status, (await response.json()).status];
    };
    expect(await health()).toEqual([503, "loading"]);
    expect(await health("/health/live")).toEqual([200, "ok"]);
    load();
    await expect.poll(() => health("/health/ready")).toEqual([200, "ok"]);
    closing.abort();
    expect(await health()).toEqual([503, "closing"]);
    const response = await slow.request("/v1/models");
    expect([response.status, response.headers.get("retry-after")]).toEqual([503, "1"]);
  });
});

describe("tokens and origins", () => {
  const closed = api({ models: { mini: async () => extract }, tokens: ["one", "two"], cors: ["https://a.example"] });

  it("asks for a token, but not for /health", async () => {
    const get = (path: string, token?: string) =>
      closed.request(path, { headers: token === undefined ? {} : { authorization: token } });
    const none = await get("/v1/models");
    expect([none.status, (await none.json()).error.code]).toEqual([401, "missing_api_key"]);
    expect(none.headers.get("www-authenticate")).toMatch(/^Bearer/);
    const wrong = await get("/v1/models", "Bearer three");
    expect([wrong.status, (await wrong.json()).error]).toEqual([
      401,
      { message: expect.any(String), type: "invalid_request_error", param: null, code: "invalid_api_key" },
    ]);
    expect((await get("/v1/models", "Bearer two")).status).toBe(200);
    expect((await get("/v1/nothing")).status).toBe(401);
    expect((await get("/health/live")).status).toBe(200);
  });

  it("lets the pages of an origin in, before they have a token", async () => {
    const ask = (origin: string) =>
      closed.request("/v1/embeddings", {
        method: "OPTIONS",
        headers: { origin, "access-control-request-headers": "authorization,content-type" },
      });
    const good = await ask("https://a.example");
    expect(good.status).toBe(204);
    expect(good.headers.get("access-control-allow-origin")).toBe("https://a.example");
    expect(good.headers.get("access-control-allow-headers")).toBe("authorization,content-type");
    expect((await ask("https://b.example")).headers.get("access-control-allow-origin")).toBe(null);
  });
});
