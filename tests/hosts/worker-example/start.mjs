// How a worker starts: what counts against the limit at global scope, the first answer, isolates beside each other, other models.
import assert from "node:assert/strict";
import { copyFileSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { bundle, cpu, start, wrangler } from "./harness.mjs";

const fixtures = resolve(import.meta.dirname, "../../fixtures/tasks");

export async function run({ folder, bundles: { assets, r2 } }) {
  const node = await import(pathToFileURL(join(folder, "node_modules/wattention/dist/host/node.js")));
  const file = join(folder, "node_modules/wattention/dist/shipped/default-embedder.safetensors");
  using extract = await node.pipeline("feature-extraction");
  const figures = {};
  let checks = 0;

  const post = async ({ url }, path, body) => {
    const response = await fetch(new URL(path, url), {
      signal: AbortSignal.timeout(60_000),
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    const text = await response.text();
    assert.equal(response.status, 200, text);
    return text;
  };
  const within = async (options, test) => {
    const worker = await start(...options);
    try {
      return await test(worker);
    } finally {
      await worker.stop();
      checks++;
    }
  };

  // Two isolates that know nothing of each other, each cold, and asked in another order: the same bytes.
  const texts = Array.from({ length: 20 }, (_, i) => `${"a text about bread and rivers ".repeat((i % 7) + 1)}${i}`);
  const cold = [];
  const answers = [];
  for (const order of [texts, texts.toReversed()])
    await within([assets], async (worker) => {
      // workerd itself and its entry are up; the worker has not run.
      const [began, used] = [performance.now(), cpu(worker.pid)];
      const said = new Map([[order[0], await post(worker, "/embed", { texts: [order[0]] })]]);
      cold.push({ ms: performance.now() - began, cpu: cpu(worker.pid) - used });
      for (const text of order.slice(1)) said.set(text, await post(worker, "/embed", { texts: [text] }));
      answers.push(texts.map((text) => said.get(text)));
    });
  assert.deepEqual(answers[0], answers[1]);
  const least = (what) => Math.min(...cold.map((c) => c[what])).toFixed(0);
  figures["cold isolate to first answer"] =
    `${least("ms")} ms, ${least("cpu")} ms of processor time, the model's loading in it`;

  // At global scope: parsing, and what the modules do as they load. 1 s is the limit.
  const profile = join(folder, "startup.cpuprofile");
  wrangler(folder, "check", "startup", "--args=--env=", "--outfile", profile);
  const { nodes, samples, timeDeltas } = JSON.parse(readFileSync(profile, "utf8"));
  const names = new Map(nodes.map(({ id, callFrame }) => [id, callFrame.functionName]));
  const busy = samples.reduce((sum, id, i) => sum + (names.get(id) === "(idle)" ? 0 : timeDeltas[i]), 0);
  figures["start-up at global scope"] = `${(busy / 1000).toFixed(1)} ms of 1,000`;

  // An app that shares a model without a thought: long and short requests at once, with a clock that runs and one that stands still.
  copyFileSync(join(import.meta.dirname, "plain.ts"), join(folder, "src/plain.ts"));
  const plain = bundle(folder, "bundled", "plain", "src/plain.ts");
  const long = Array.from({ length: 40 }, (_, i) => `${i} ${"market garden ".repeat(250)}`);
  const short = Array.from({ length: 30 }, (_, i) => [`short text ${i}`]);
  const expected = (await extract([...long, ...short.flat()])).tolist();
  for (const CLOCK of ["runs", "still"])
    await within([plain, { vars: { CLOCK } }], async (worker) => {
      const said = await Promise.all([long, ...short].map((body) => post(worker, "/", body)));
      const all = said.map((text) => JSON.parse(text));
      for (const [i, vector] of all.flatMap(({ vectors }) => vectors).entries())
        assert.ok(Math.max(...vector.map((x, k) => Math.abs(x - expected[i][k]))) < 1e-5, `vector ${i}`);
      assert.equal(all[0].clock > 0, CLOCK === "runs");
      assert.ok(all[0].turns > 10, `a long run gave ${all[0].turns} turns`);
      const { turns } = JSON.parse(await post(worker, "/", ["how is memory planned for query 7"]));
      figures[`turns of a short query, the clock ${CLOCK === "runs" ? "running" : "standing still"}`] = turns;
    });

  // wattention/server in a worker: who gathers the texts of many requests must not end with the request that began it.
  copyFileSync(join(import.meta.dirname, "api.ts"), join(folder, "src/api.ts"));
  await within([bundle(folder, "bundled", "api", "src/api.ts")], async (worker) => {
    const ask = async (input) => JSON.parse(await post(worker, "/v1/embeddings", { input })).data;
    const words = Array.from({ length: 200 }, (_, i) => `text number ${i}`);
    const right = (await extract(words)).tolist();
    const parts = [words.slice(0, 60), ...words.slice(60)];
    for (const round of ["cold", "warm"])
      for (const [i, { embedding }] of (await Promise.all(parts.map(ask))).flat().entries())
        assert.ok(Math.max(...embedding.map((x, k) => Math.abs(x - right[i][k]))) < 1e-5, `${round}: vector ${i}`);
  });

  // A cross-encoder beside the embedder, both from R2.
  const cross = join(fixtures, "rerank");
  const documents = ["Shares fell on Monday.", "How to bake bread at home.", "The cat sat on the mat."];
  const packed = await node.pack(cross, { dtype: "f32" });
  using rank = await node.pipeline("text-ranking", cross);
  const ranked = await rank("loaf recipe", documents);
  await within([r2, { vars: { RERANKER: "cross.safetensors" } }], async (worker) => {
    const bucket = await worker.mf.getR2Bucket("MODELS_R2");
    await bucket.put("cross.safetensors", packed);
    await bucket.put("default-embedder.safetensors", readFileSync(file));
    const { method, results } = JSON.parse(await post(worker, "/rerank", { query: "loaf recipe", documents }));
    assert.equal(method, "cross-encoder");
    assert.deepEqual(
      results.map((r) => r.index),
      ranked.map((r) => r.corpus_id),
    );
    for (const [i, { relevance_score }] of results.entries())
      assert.ok(Math.abs(relevance_score - ranked[i].score) < 1e-5);
    assert.equal(JSON.parse(await post(worker, "/embed", { texts: ["a"] })).dimensions, 384);
  });
  return { checks, figures };
}
