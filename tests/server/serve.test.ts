import { once } from "node:events";
import { connect } from "node:net";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type FeatureExtraction, pipeline } from "../../src/host/node.ts";
import { fixtures, wattention } from "../cli/run.ts";
import { type Server, serve } from "./run.ts";

let extract: FeatureExtraction;
let server: Server;
beforeAll(async () => {
  [extract, server] = await Promise.all([
    pipeline("feature-extraction"),
    serve("--max-queue", "64", "--token", "secret"),
  ]);
});
afterAll(async () => {
  extract.dispose();
  await server.stop();
});

const headers = { "content-type": "application/json", authorization: "Bearer secret" };
const embed = (input: unknown, init: RequestInit = {}, to = server) =>
  to.post("/v1/embeddings", { input, encoding_format: "base64" }, { headers, ...init });

const decoded = async (response: Response) =>
  (await response.json()).data.map(({ embedding }: { embedding: string }) => {
    const bytes = Buffer.from(embedding, "base64");
    return Array.from(new Float32Array(bytes.buffer.slice(bytes.byteOffset, bytes.byteOffset + bytes.length)));
  });
const alone = async (text: string) => Array.from((await extract(text, { normalize: true })).data);

/** Prometheus' text format, strictly: samples by name and labels. */
function samples(text: string): Map<string, number> {
  const found = new Map<string, number>();
  const types = new Map<string, string>();
  expect(text.endsWith("\n")).toBe(true);
  for (const line of text.split("\n")) {
    const type = /^# TYPE ([a-zA-Z_:][\w:]*) (counter|gauge|histogram|summary)$/.exec(line);
    if (type) types.set(type[1], type[2]);
    if (!line || line.startsWith("#")) continue;
    const sample = /^([a-zA-Z_:][\w:]*)(\{(?:[a-zA-Z_]\w*="(?:[^"\\\n]|\\["\\n])*",?)*\})? (\S+)$/.exec(line);
    if (!sample) throw new Error(`no sample: ${line}`);
    const [, name, labels = "", value] = sample;
    const family = name.replace(/_(bucket|sum|count)$/, "");
    expect(types.has(name) || types.has(family), name).toBe(true);
    expect(/^(\+Inf|NaN)$/i.test(value) || Number.isFinite(Number(value)), line).toBe(true);
    found.set(name + labels, Number(value));
  }
  return found;
}
const metrics = async (from = server) => samples(await (await fetch(`${from.url}/metrics`, { headers })).text());

describe("wattention serve", () => {
  it.each([
    ["in its own thread", []],
    ["with engines in threads", ["--threads", "2"]],
  ])("never mixes what many clients ask at once, %s", async (_, options) => {
    const one = options.length ? await serve("--token", "secret", "--quiet", ...options) : server;
    const texts = Array.from({ length: 60 }, (_, i) => `${"word ".repeat(i % 17)}number ${i % 50}`);
    const wanted = await Promise.all(texts.map(alone));
    await Promise.all(
      texts.map(async (text, i) => {
        const [vector] = await decoded(await embed(text, {}, one));
        expect(vector).toEqual(wanted[i]);
      }),
    );
    const after = await metrics(one);
    const batches = after.get('wattention_batch_texts_count{model="default-embedder"}')!;
    expect(batches).toBeLessThan(60);
    if (one !== server) expect(await one.stop()).toBe(0);
  });

  it("answers 429 with Retry-After when its queue is full, and all others right", async () => {
    const texts = Array.from({ length: 40 }, (_, i) => [`text ${i}`, "long ".repeat(120), `other ${i}`, `last ${i}`]);
    const responses = await Promise.all(texts.map((t) => embed(t)));
    const refused = responses.filter((r) => r.status === 429);
    expect(refused.length).toBeGreaterThan(0);
    expect(responses.every((r) => r.status === 200 || r.status === 429)).toBe(true);
    for (const r of refused) {
      expect(Number(r.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
      expect((await r.json()).error).toMatchObject({ type: "rate_limit_error", code: "queue_full", param: null });
    }
    for (const [i, r] of responses.entries())
      if (r.status === 200) expect((await decoded(r))[0]).toEqual(await alone(`text ${i}`));
    expect((await metrics()).get('wattention_queue_texts{model="default-embedder"}')).toBe(0);
  });

  it("goes on when clients go away", async () => {
    const control = new AbortController();
    const gone = Array.from({ length: 10 }, (_, i) => embed([`gone ${i}`, "away ".repeat(200)], control));
    const left = Promise.allSettled(gone);
    setTimeout(() => control.abort(), 5);
    await left;
    await expect.poll(async () => (await metrics()).get('wattention_queue_texts{model="default-embedder"}')).toBe(0);
    expect((await decoded(await embed("still here")))[0]).toEqual(await alone("still here"));
  });

  it("measures what it does, by route and not by path", async () => {
    const before = await metrics();
    await embed("a text of seven tokens");
    await fetch(`${server.url}/no/such/path`, { headers });
    const after = await metrics();
    const grown = (name: string) => after.get(name)! - (before.get(name) ?? 0);
    expect(grown('http_request_duration_seconds_count{method="POST",route="/v1/embeddings",status="200"}')).toBe(1);
    expect(grown('http_request_duration_seconds_count{method="GET",route="none",status="404"}')).toBe(1);
    expect(grown('wattention_tokens_total{model="default-embedder"}')).toBe(
      extract.tokenizer.encode("a text of seven tokens").input_ids.length,
    );
    expect([...after.keys()].filter((k) => k.includes("/no/such"))).toEqual([]);
    expect(after.get("process_resident_memory_bytes")).toBeGreaterThan(1e6);
    expect((await fetch(`${server.url}/metrics`)).status).toBe(401);
  });

  it("writes one line of JSON for a request, with its id", async () => {
    const response = await embed("logged", { headers: { ...headers, "x-request-id": "abc-1" } });
    expect(response.headers.get("x-request-id")).toBe("abc-1");
    await expect
      .poll(() => server.log.find(({ id }) => id === "abc-1"))
      .toMatchObject({ event: "request", method: "POST", path: "/v1/embeddings", status: 200, ms: expect.any(Number) });
    expect(JSON.stringify(server.log)).not.toContain("secret");
  });

  it.each(["SIGTERM", "SIGINT"] as const)(
    "finishes what it took at %s, takes no more, and ends with 0",
    async (signal) => {
      const own = await serve("--quiet");
      const text = "many words ".repeat(100);
      const long = (i: number) => Array.from({ length: 12 }, (_, j) => `${i} ${j} ${text}`);
      const under = Array.from({ length: 8 }, (_, i) => embed([`${i}`, ...long(i)], {}, own));
      await expect
        .poll(async () => /^wattention_queue_texts.* [1-9]/m.test(await (await fetch(`${own.url}/metrics`)).text()))
        .toBe(true);
      const code = own.stop(signal);
      await expect.poll(() => own.log.some(({ event }) => event === "closing")).toBe(true);
      const late = await fetch(own.url).then(
        (r) => r.status,
        () => "no connection",
      );
      expect([503, "no connection"]).toContain(late);
      // What was under way is answered with a result. What had not been read gets 503, or nobody ever took its connection.
      const { under_way } = own.log.find(({ event }) => event === "closing") as unknown as { under_way: number };
      let done = 0;
      for (const [i, answer] of (await Promise.allSettled(under)).entries()) {
        if (answer.status === "rejected") {
          expect(["ECONNRESET", "ECONNREFUSED"]).toContain(answer.reason.cause.code);
          continue;
        }
        expect([200, 503]).toContain(answer.value.status);
        if (answer.value.status !== 200) continue;
        expect((await decoded(answer.value))[0]).toEqual(await alone(`${i}`));
        done++;
      }
      expect(under_way).toBeGreaterThan(0);
      expect(done).toBeGreaterThanOrEqual(under_way);
      expect(await code).toBe(0);
      expect(own.log.at(-1)).toMatchObject({ event: "closed", cut: false });
    },
  );

  it("cuts what takes too long to close", async () => {
    const own = await serve("--quiet", "--grace", "50");
    const socket = connect(Number(new URL(own.url).port), "127.0.0.1");
    await once(socket, "connect");
    socket.write(
      "POST /v1/embeddings HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\ncontent-length: 100\r\n\r\n{",
    );
    await new Promise((go) => setTimeout(go, 50));
    expect(await own.stop()).toBe(1);
    expect(own.log.at(-1)).toMatchObject({ event: "closed", cut: true });
    socket.destroy();
  });

  it("reranks with a cross-encoder where it is given one", async () => {
    const own = await serve("--rerank", `${fixtures}/rerank`, "--quiet");
    const documents = ["the cat sat", "a dog", "what is memory planned for"];
    const rank = await pipeline("text-ranking", `${fixtures}/rerank`);
    const wanted = await rank("what is a cat", documents);
    rank.dispose();
    const body = await (await own.post("/v1/rerank", { query: "what is a cat", documents })).json();
    expect(body).toMatchObject({ model: "rerank", method: "cross-encoder", object: "rerank" });
    expect(body.results.map((r: { index: number }) => r.index)).toEqual(wanted.map((r) => r.corpus_id));
    for (const [i, { relevance_score }] of body.results.entries())
      expect(relevance_score).toBeCloseTo(wanted[i].score, 6);
    expect(await own.stop()).toBe(0);
  });

  it("writes with a decoder where it is given one, and tells of it", async () => {
    const own = await serve("--generate", `${fixtures}/../writing/gpt2`, "--writers", "2");
    const messages = [{ role: "user", content: "Who?" }];
    const options = { model: "gpt2", messages, temperature: 0, max_tokens: 12 };
    const whole = await (await own.post("/v1/chat/completions", options)).json();
    const texts = await Promise.all(
      [1, 2, 3].map(async () => {
        const body = await (await own.post("/v1/chat/completions", { ...options, stream: true })).text();
        const chunks = body.split("\n\n").filter((e) => e.startsWith("data: {"));
        return chunks.map((e) => JSON.parse(e.slice(6)).choices[0].delta.content ?? "").join("");
      }),
    );
    expect(texts).toEqual(Array(3).fill(whole.choices[0].message.content));
    const names = (await (await fetch(`${own.url}/v1/models`)).json()).data.map(({ id }: { id: string }) => id);
    expect(names).toEqual(["default-embedder", "gpt2"]);
    expect((await metrics(own)).get('wattention_queue_texts{model="gpt2"}')).toBe(0);
    // A client that leaves in the middle leaves the server well.
    const control = new AbortController();
    const long = { prompt: "The", max_tokens: 100, temperature: 1, stream: true };
    const left = await own.post("/v1/completions", long, { signal: control.signal });
    await left.body!.getReader().read();
    control.abort();
    expect((await own.post("/v1/completions", { prompt: "The", max_tokens: 2 })).status).toBe(200);
    expect(await own.stop()).toBe(0);
  });

  it("ends at once if it has no model to serve, or no port", async () => {
    const none = await wattention(["serve", `${fixtures}/qa`, "--rerank", `${fixtures}/qa`, "--port", "0"]);
    expect(none.code).toBe(1);
    expect(none.stderr).toContain("ForSequenceClassification");
    const taken = await wattention(["serve", "--port", new URL(server.url).port]);
    expect(taken.code).toBe(1);
    expect(taken.stderr).toContain("EADDRINUSE");
    expect((await wattention(["serve", "--port", "a"])).code).toBe(2);
  });
});
