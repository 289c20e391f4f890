import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type FeatureExtraction, pipeline, type TextRanking } from "../../src/host/node.ts";
import { api, memoryStores } from "../../src/server/index.ts";
import { fixtures } from "../cli/run.ts";

let extract: FeatureExtraction;
let rank: TextRanking;
beforeAll(async () => {
  [extract, rank] = await Promise.all([pipeline("feature-extraction"), pipeline("text-ranking", `${fixtures}/rerank`)]);
});
afterAll(() => {
  extract.dispose();
  rank.dispose();
});

const models = { mini: async () => extract };
const plain = api({ models, indexes: memoryStores(), limits: { inputs: 5 } });
const crossed = api({ models, rerankers: { cross: async () => rank } });
const send = (app: typeof plain, path: string, body: unknown, method = "POST") =>
  app.request(path, { method, headers: { "content-type": "application/json" }, body: JSON.stringify(body) });

const query = "how do cats sleep";
const documents = ["Stocks fell today.", "Cats nap often.", "The kitten is asleep."];

/** The oracle: cosines of the library's own vectors. */
async function cosines(): Promise<number[]> {
  const { data, dims } = await extract([query, ...documents], { normalize: true });
  const row = (i: number) => data.subarray(i * dims[1], (i + 1) * dims[1]);
  return documents.map((_, d) => row(0).reduce((sum, x, k) => sum + x * row(d + 1)[k], 0));
}

describe("/v1/rerank", () => {
  it("goes by vectors where there is no cross-encoder, and says so", async () => {
    const scores = await cosines();
    const order = [0, 1, 2].sort((a, b) => scores[b] - scores[a]);
    const body = await (await send(plain, "/v1/rerank", { query, documents })).json();
    const tokens = [query, ...documents].reduce((n, t) => n + extract.tokenizer.encode(t).input_ids.length, 0);
    expect(body).toEqual({
      id: expect.any(String),
      object: "rerank",
      model: "mini",
      method: "embedding",
      results: order.map((index) => ({ index, relevance_score: expect.closeTo(scores[index], 5) })),
      usage: { prompt_tokens: tokens, total_tokens: tokens },
    });
  });

  it("goes by the cross-encoder where there is one, as the pipeline does", async () => {
    const wanted = await rank(query, documents);
    const body = await (await send(crossed, "/rerank", { model: "cross", query, documents })).json();
    expect(body.method).toBe("cross-encoder");
    expect(body.results).toEqual(wanted.map((r) => ({ index: r.corpus_id, relevance_score: r.score })));
    const by = await (await send(crossed, "/v1/rerank", { model: "mini", query, documents })).json();
    expect(by.method).toBe("embedding");
  });

  it("gives the best n with their texts, of strings and objects", async () => {
    const objects = documents.map((text) => ({ text, extra: 1 }));
    const request = { query, documents: objects, top_n: 1, return_documents: true };
    const { results } = await (await send(plain, "/v1/rerank", request)).json();
    expect(results).toHaveLength(1);
    expect(results[0].document).toEqual({ text: documents[results[0].index] });
  });

  it("answers text-embeddings-inference's form with its list", async () => {
    const list = await (await send(plain, "/rerank", { query, texts: documents, return_text: true })).json();
    expect(list.map((r: { index: number }) => r.index).sort()).toEqual([0, 1, 2]);
    for (const { index, score, text } of list) {
      expect(text).toBe(documents[index]);
      expect(score).toBeCloseTo((await cosines())[index], 5);
    }
  });

  it("never mixes the pairs of many queries", async () => {
    const queries = Array.from({ length: 12 }, (_, i) => `${"what ".repeat(i % 5)}is text ${i}`);
    await Promise.all(
      queries.map(async (q, i) => {
        const own = [`first ${i}`, `second ${i} of them`];
        const { results } = await (await send(crossed, "/v1/rerank", { query: q, documents: own })).json();
        const wanted = await rank(q, own);
        expect(results).toEqual(wanted.map((r) => ({ index: r.corpus_id, relevance_score: r.score })));
      }),
    );
  });

  it.each([
    [{ documents }, "query", "missing_required_parameter"],
    [{ query }, "documents", "missing_required_parameter"],
    [{ query, documents: [] }, "documents", "empty_array"],
    [{ query, documents: [1] }, "documents[0]", "invalid_type"],
    [{ query, documents, top_n: 0 }, "top_n", "invalid_value"],
    [{ query, documents, model: "gpt" }, "model", "model_not_found"],
  ])("refuses %j", async (body, param, code) => {
    expect((await (await send(plain, "/v1/rerank", body)).json()).error).toMatchObject({ param, code });
  });
});

describe("/v1/indexes", () => {
  it("adds, replaces, finds and removes documents", async () => {
    const docs = [
      { id: "cat", text: "Cats nap often.", metadata: { page: 3 } },
      { id: "stock", text: "Stocks fell today." },
    ];
    const put = await (await send(plain, "/v1/indexes/a.b-1/documents", { documents: docs }, "PUT")).json();
    expect(put).toMatchObject({ ids: ["cat", "stock"], usage: { total_tokens: expect.any(Number) } });
    const added = await (await send(plain, "/v1/indexes/a.b-1/documents", { documents: ["A plain string."] })).json();
    expect(added.ids).toEqual([expect.stringMatching(/^[\da-f-]{36}$/)]);
    expect(await (await plain.request("/v1/indexes/a.b-1")).json()).toEqual({ name: "a.b-1", model: "mini", size: 3 });
    expect((await (await plain.request("/v1/indexes")).json()).data).toEqual([{ name: "a.b-1" }]);

    const search = async (body: object) => (await (await send(plain, "/v1/indexes/a.b-1/search", body)).json()).results;
    const found = await search({ query, top_k: 2 });
    expect(found).toHaveLength(2);
    expect(found[0]).toEqual({ ...docs[0], score: expect.closeTo((await cosines())[1], 5) });
    const lists = await search({ query: [query, "markets"], top_k: 1 });
    expect(lists.map(([hit]: { id: string }[]) => hit.id)).toEqual(["cat", "stock"]);

    await send(plain, "/v1/indexes/a.b-1/documents", { documents: [{ id: "cat", text: "Bonds rose." }] }, "PUT");
    expect((await search({ query: "Bonds rose.", top_k: 1 }))[0]).toMatchObject({ id: "cat", text: "Bonds rose." });
    const deleted = await send(plain, "/v1/indexes/a.b-1/documents", { ids: ["cat", "none"] }, "DELETE");
    expect(await deleted.json()).toEqual({ deleted: 1 });
    expect(await (await send(plain, "/v1/indexes/a.b-1", undefined, "DELETE")).json()).toEqual({
      name: "a.b-1",
      deleted: true,
    });
    expect((await plain.request("/v1/indexes/a.b-1")).status).toBe(404);
  });

  it.each([
    ["an index that is not there", "none/search", { query }, 404, "index_not_found"],
    ["a name that is a path", "..%2Fetc/documents", { documents: ["a"] }, 400, "invalid_value"],
    ["a document without a text", "b/documents", { documents: [{ id: "a" }] }, 400, "invalid_type"],
    [
      "an id twice",
      "b/documents",
      {
        documents: [
          { id: "a", text: "" },
          { id: "a", text: "" },
        ],
      },
      400,
      "invalid_value",
    ],
    ["metadata that is no object", "b/documents", { documents: [{ text: "", metadata: 3 }] }, 400, "invalid_type"],
    ["too many documents", "b/documents", { documents: Array(6).fill("a") }, 413, "too_many_inputs"],
  ])("refuses %s", async (_, path, body, status, code) => {
    const response = await send(plain, `/v1/indexes/${path}`, body);
    expect([response.status, (await response.json()).error.code]).toEqual([status, code]);
  });

  it("needs ids where documents are put", async () => {
    expect((await send(plain, "/v1/indexes/b/documents", { documents: ["a"] }, "PUT")).status).toBe(400);
    expect((await send(crossed, "/v1/indexes/b/documents", { documents: ["a"] })).status).toBe(404); // it has no indexes
  });
});

describe("a model that fails", () => {
  it("tells clients nothing of what is inside, and the host all of it", async () => {
    const errors: unknown[] = [];
    const secret = new Error("at /home/secret/path");
    const broken = Object.assign(async () => Promise.reject(secret), extract, { encode: extract.encode });
    let fine = true;
    const turning = Object.assign((...args: Parameters<FeatureExtraction>) => (fine ? extract(...args) : broken()), {
      ...extract,
      encode: extract.encode,
    });
    const app = api({ models: { mini: async () => turning as never }, onError: (e) => errors.push(e) });
    expect((await send(app, "/v1/embeddings", { input: "a" })).status).toBe(200);
    fine = false;
    const response = await send(app, "/v1/embeddings", { input: "a" });
    expect(response.status).toBe(500);
    expect(await response.json()).toEqual({
      error: { message: "internal error", type: "server_error", param: null, code: "internal_error" },
    });
    expect(errors).toEqual([secret]);
  });

  it("that cannot be loaded is tried again", async () => {
    let tries = 0;
    const app = api({ models: { mini: async () => (tries++ ? extract : Promise.reject(new Error("no disk"))) } });
    const first = await send(app, "/v1/embeddings", { input: "a" });
    expect([first.status, (await first.json()).error.code]).toEqual([503, "model_not_loaded"]);
    expect((await send(app, "/v1/embeddings", { input: "a" })).status).toBe(200);
  });

  it("that takes too long is given up", async () => {
    const hangs = Object.assign(
      (texts: unknown[], { signal }: { signal?: AbortSignal }) =>
        texts.length && signal
          ? new Promise((_, reject) => signal.addEventListener("abort", () => reject(new Error("aborted"))))
          : Promise.resolve({ data: new Float32Array(2), dims: [1, 2] }),
      { encode: extract.encode, pools: true, max_length: 100, model: extract.model },
    );
    const app = api({ models: { mini: async () => hangs as never }, limits: { time: 30 } });
    const response = await send(app, "/v1/embeddings", { input: "a" });
    expect([response.status, (await response.json()).error.code]).toEqual([504, "timeout"]);
  });
});
