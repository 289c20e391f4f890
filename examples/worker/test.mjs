// `npm test`: the worker in `wrangler dev`, asked as the README asks; killed, and asked again.
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { pipeline } from "wattention";

const here = import.meta.dirname;
const state = mkdtempSync(join(tmpdir(), "worker-"));
const bin = fileURLToPath(import.meta.resolve("wrangler/package.json").replace(/package\.json$/, "bin/wrangler.js"));
const quiet = { ...process.env, CI: "true", WRANGLER_SEND_METRICS: "false", NO_COLOR: "1" };
const MODEL = fileURLToPath(import.meta.resolve("wattention/models/default-embedder.safetensors"));

/** `wrangler dev` on a port that is free; `kill` ends it as a power cut would. */
async function dev(env, vars = {}) {
  const given = Object.entries(vars).flatMap(([name, value]) => ["--var", `${name}:${value}`]);
  const ports = ["--port", "0", "--inspector-port", "0"];
  const args = [bin, "dev", `--env=${env}`, ...ports, "--persist-to", state, ...given];
  const child = spawn(process.execPath, args, { cwd: here, env: quiet, detached: true });
  let said = "";
  const ended = new Promise((resolve) => child.once("exit", resolve));
  const url = await new Promise((resolve, reject) => {
    const read = (chunk) => {
      said += chunk;
      const ready = /Ready on (http:\S+)/.exec(said);
      if (ready) resolve(ready[1]);
    };
    child.stdout.on("data", read);
    child.stderr.on("data", read);
    ended.then(() => reject(new Error(`wrangler ended: ${said}`)));
  });
  const kill = async (signal = "SIGKILL") => {
    process.kill(-child.pid, signal); // wrangler and its workerds
    await ended;
  };
  running = kill;
  const ask = async (path, body, init = {}) => {
    const headers = { "content-type": "application/json", ...init.headers };
    const post =
      body === undefined ? {} : { method: "POST", body: typeof body === "string" ? body : JSON.stringify(body) };
    const response = await fetch(new URL(path, url), { ...post, ...init, headers });
    const text = await response.text();
    const json = /json/.test(response.headers.get("content-type")) ? JSON.parse(text) : undefined;
    return { status: response.status, headers: response.headers, text, json };
  };
  return { url, ask, kill };
}
let running;

let checks = 0;
async function check(name, test) {
  await test();
  checks++;
  console.log(`ok ${checks} - ${name}`);
}

/** An error with our body and nothing of the inside. */
const refused = ({ status, json, text }, expected, type, param) => {
  assert.equal(status, expected, text);
  assert.deepEqual(Object.keys(json), ["error"]);
  assert.equal(json.error.type, type);
  assert.equal(typeof json.error.message, "string");
  if (param) assert.equal(json.error.param, param);
  assert.doesNotMatch(text, /\bat \S+ \(|\.[jt]s:\d|node_modules/);
};

using extract = await pipeline("feature-extraction", MODEL);
const vectors = async (texts) => (await extract(texts, { normalize: true })).tolist();
const cosine = (a, b) => a.reduce((sum, x, i) => sum + x * b[i], 0);
const near = (a, b) => assert.ok(Math.max(...a.map((x, i) => Math.abs(x - b[i]))) < 1e-5, "vectors differ");

try {
  let worker = await dev("");
  const answers = new Map();
  const commands = readFileSync(join(here, "README.md"), "utf8").matchAll(/```sh\n(curl .*?)\n```/gs);
  await check("the README's commands", () => {
    for (const [, command] of commands) {
      const said = execFileSync("sh", ["-c", command.replaceAll("http://localhost:8787", worker.url)], {
        encoding: "utf8",
      });
      answers.set(/8787(\S+)/.exec(command)[1], said);
    }
    assert.equal(answers.size, 8);
  });
  const answer = (path) => JSON.parse(answers.get(path));
  await check("vectors are those of Node", async () => {
    const [sofa, kitten] = await vectors(["a cat sleeps on the sofa", "the kitten naps"]);
    const embed = answer("/embed");
    near(embed.embeddings[0], sofa);
    near(embed.embeddings[1], kitten);
    const openai = answer("/v1/embeddings");
    near(openai.data[0].embedding, sofa);
    assert.deepEqual(
      { ...openai, data: 0 },
      { object: "list", data: 0, model: "default-embedder", usage: { prompt_tokens: 8, total_tokens: 8 } },
    );
  });
  await check("base64 is the same floats", async () => {
    const { json } = await worker.ask("/v1/embeddings", {
      input: "a cat sleeps on the sofa",
      encoding_format: "base64",
    });
    const bytes = Uint8Array.from(atob(json.data[0].embedding), (c) => c.charCodeAt(0));
    assert.deepEqual([...new Float32Array(bytes.buffer)], answer("/v1/embeddings").data[0].embedding.map(Math.fround));
  });
  await check("search, replace, remove", async () => {
    const [query, bread] = await vectors(["loaf recipe", "How to bake bread at home."]);
    const [best] = answer("/search").results;
    assert.deepEqual(
      { ...best, score: 0 },
      { id: "bread", score: 0, text: "How to bake bread at home.", metadata: { page: 3 } },
    );
    assert.ok(Math.abs(best.score - cosine(query, bread)) < 1e-5);
    assert.deepEqual(answer("/indexes/default/documents"), { size: 2 });
    assert.deepEqual(answer("/indexes/default/documents/delete"), { removed: 1, size: 1 });
    await worker.ask("/indexes/default/documents", { documents: [{ id: "bread", text: "Bread, again." }] });
    const { results } = (await worker.ask("/search", { query: "loaf recipe" })).json;
    assert.deepEqual(
      results.map(({ id, text }) => [id, text]),
      [["bread", "Bread, again."]],
    );
  });
  await check("reranking says by what it goes", async () => {
    const { method, results } = answer("/rerank");
    assert.equal(method, "embedding");
    assert.deepEqual(
      results.map((r) => r.index),
      [1],
    );
  });
  await check("attention in all forms", async () => {
    assert.match(answers.get("/attention"), /^<svg.*<\/svg>$/s);
    assert.match((await worker.ask("/attention", { text: "The river bank." })).text, /^<!doctype html>/);
    const head = { text: "The river bank.", format: "json", layer: 1, head: 2 };
    const { tokens, attention } = (await worker.ask("/attention", head)).json;
    const { input_ids } = extract.tokenizer.encode("The river bank.");
    const { attentions } = await extract.model.forward({ input_ids }, { outputs: ["attentions"] });
    assert.equal(tokens.length, input_ids.length);
    near(attention.flat(), attentions[1].row(0).row(2).tolist().flat());
  });
  await check("errors are typed and tell nothing of the inside", async () => {
    const { ask } = worker;
    const bad = "invalid_request_error";
    refused(await ask("/embed", "{"), 400, bad);
    refused(await ask("/embed", "[]"), 400, bad);
    refused(await ask("/embed", {}), 400, bad, "texts");
    refused(await ask("/embed", { texts: ["a", 3] }), 400, bad, "texts[1]");
    refused(await ask("/embed", { texts: ["a".repeat(8193)] }), 400, bad, "texts[0]");
    refused(await ask("/embed", { texts: Array(65).fill("a") }), 400, bad, "texts");
    refused(await ask("/embed", { texts: ["a"], rest: "x".repeat(1_000_001) }), 413, "request_too_large");
    refused(await ask("/v1/embeddings", { input: "a ".repeat(1000) }), 400, bad, "input");
    refused(await ask("/v1/embeddings", { input: "a", dimensions: 100 }), 400, bad, "dimensions");
    refused(await ask("/v1/embeddings", { input: "a", encoding_format: "hex" }), 400, bad, "encoding_format");
    refused(await ask("/v1/embeddings", { input: "a", model: "gpt" }), 404, "model_not_found", "model");
    refused(await ask("/search", { query: "a", top_k: 0 }), 400, bad, "top_k");
    refused(await ask("/search", { query: "a", index: "no such" }), 400, bad, "index");
    refused(await ask("/search", { query: "a", index: "none" }), 404, "not_found");
    refused(await ask("/indexes/x/documents", { documents: ["a", "a"] }), 400, bad, "documents");
    refused(await ask("/attention", { text: "a ".repeat(200) }), 400, bad, "text");
    refused(await ask("/attention", { text: "a", layer: 9 }), 400, bad, "layer");
    refused(await ask("/nowhere"), 404, "not_found");
  });
  await check("pages of other origins may call", async () => {
    const preflight = {
      method: "OPTIONS",
      headers: { origin: "https://page.example", "access-control-request-method": "POST" },
    };
    const { status, headers } = await worker.ask("/embed", undefined, preflight);
    assert.deepEqual([status, headers.get("access-control-allow-origin")], [204, "*"]);
  });
  await check("what was acknowledged is there after a kill, and is found as before", async () => {
    const texts = Array.from({ length: 60 }, (_, i) => `Chapter ${i} is about the number ${i * i}.`);
    for (let at = 0; at < texts.length; at += 20)
      await worker.ask("/indexes/book/documents", {
        documents: texts.slice(at, at + 20).map((text, i) => ({ id: `${at + i}`, text, metadata: { at } })),
      });
    await worker.ask("/indexes/book/documents/delete", { ids: ["7", "33"] });
    const search = { index: "book", query: "the number 49", top_k: 58 };
    const before = (await worker.ask("/search", search)).json;
    await worker.kill();
    worker = await dev("");
    const after = (await worker.ask("/search", search)).json;
    assert.equal(after.results.length, 58);
    assert.deepEqual(after, before);
    assert.deepEqual((await worker.ask("/indexes/book")).json, {
      model: "default-embedder.safetensors",
      dimensions: 384,
      size: 58,
    });
    assert.equal((await worker.ask("/indexes/book", undefined, { method: "DELETE" })).status, 204);
    assert.equal((await worker.ask("/search", search)).status, 404);
  });
  await worker.kill("SIGTERM");

  worker = await dev("", { API_TOKEN: "s3cret", CORS_ORIGIN: "https://page.example" });
  await check("a token, if one is set", async () => {
    const { ask } = worker;
    const embed = (headers) => ask("/embed", { texts: ["a"] }, { headers });
    refused(await embed({}), 401, "authentication_error");
    refused(await embed({ authorization: "Bearer s3cre" }), 401, "authentication_error");
    assert.equal((await embed({ authorization: "Bearer s3cret" })).status, 200);
    assert.equal((await ask("/health")).status, 200);
    const other = await ask("/health", undefined, { headers: { origin: "https://other.example" } });
    assert.notEqual(other.headers.get("access-control-allow-origin"), "https://other.example");
  });
  await worker.kill("SIGTERM");

  const put = (...args) =>
    execFileSync(process.execPath, [bin, ...args, "--local", "--persist-to", state], {
      cwd: here,
      env: quiet,
      stdio: "pipe",
    });
  put("r2", "object", "put", "models/own.safetensors", "--file", MODEL, "--env", "r2");
  put("kv", "key", "put", "own.safetensors", "--path", MODEL, "--binding", "MODELS_KV", "--env", "kv");
  // A name that the assets do not have.
  for (const [env, vars] of [
    ["r2", { EMBEDDER: "own.safetensors" }],
    ["kv", { EMBEDDER: "own.safetensors" }],
    ["bundled"],
  ]) {
    worker = await dev(env, vars);
    await check(`the model from ${env}: the same vectors`, async () => {
      const body = { texts: ["a cat sleeps on the sofa", "the kitten naps"] };
      const { embeddings } = (await worker.ask("/embed", body)).json;
      assert.deepEqual(embeddings, answer("/embed").embeddings);
    });
    await worker.kill("SIGTERM");
  }
  console.log(`${checks} checks, all good`);
} finally {
  await running?.().catch(() => {});
  for (const folder of [state, join(here, ".wrangler/tmp")]) rmSync(folder, { recursive: true, force: true });
}
