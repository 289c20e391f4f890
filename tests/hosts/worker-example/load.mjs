// One isolate under load: nothing mixed, nothing lost, no client that leaves stops the others; and what it takes of memory and processor.
import assert from "node:assert/strict";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { cpu, heap, start } from "./harness.mjs";

const REQUESTS = 1000;
/** Of 64 KiB: what V8 lets each linear memory have here. There are two, the model's and the index's. */
const PAGES = 320;
const LIMIT = 128 * 2 ** 20;

const words = "river bread market engine garden letter window music winter island paper stone bridge summer".split(" ");
const pick = (i, k) => words[(i * 7 + k * 5 + Math.floor(i / 14) * k) % words.length];
/** Different texts of 3 to 40 words. */
const text = (i) => `${i}: ${Array.from({ length: 2 + (i % 39) }, (_, k) => pick(i, k)).join(" ")}`;

export async function run({ folder, bundles: { assets } }) {
  const { pipeline } = await import(pathToFileURL(join(folder, "node_modules/wattention/dist/host/node.js")));
  using extract = await pipeline("feature-extraction");
  const texts = Array.from({ length: REQUESTS }, (_, i) => text(i));
  const expected = (await extract(texts, { normalize: true })).tolist();

  // That the flag caps: less than the model takes is refused, in our words, and the isolate goes on.
  const small = await start(assets, { pages: 64 });
  try {
    const response = await fetch(new URL("/embed", small.url), { method: "POST", body: '{"texts":["a"]}' });
    assert.equal(response.status, 500);
    assert.deepEqual(await response.json(), {
      error: { type: "server_error", message: "internal error", param: null },
    });
    assert.equal((await fetch(new URL("/health", small.url))).status, 200);
  } finally {
    await small.stop();
  }

  const worker = await start(assets, { pages: PAGES });
  try {
    const post = (path, body, init) =>
      fetch(new URL(path, worker.url), {
        method: "POST",
        headers: { "content-type": "application/json" },
        body: JSON.stringify(body),
        ...init,
      });
    const embed = async (body, init) => (await (await post("/embed", body, init)).json()).embeddings;

    // Clients that leave: the one for which the model loads, and some with work under way.
    const long = { texts: Array.from({ length: 64 }, (_, i) => text(i).repeat(20).slice(0, 8000)) };
    const leave = async (after) => {
      const error = await post("/embed", long, { signal: AbortSignal.timeout(after) }).then(
        () => assert.fail("the answer came before the client left"),
        (e) => e,
      );
      assert.equal(error.name, "TimeoutError");
    };
    await leave(20);
    assert.equal((await embed({ texts: ["after the first"] }, { signal: AbortSignal.timeout(30_000) })).length, 1);
    await Promise.all([leave(60), leave(100), leave(140)]);
    assert.equal((await embed({ texts: ["after them"] }, { signal: AbortSignal.timeout(30_000) })).length, 1);

    await post("/indexes/default/documents", { documents: texts.slice(0, 64) });
    const began = performance.now();
    const answers = await Promise.all(texts.map((t) => embed({ texts: [t] })));
    const took = performance.now() - began;
    for (const [i, [vector]] of answers.entries()) {
      const worst = Math.max(...vector.map((x, k) => Math.abs(x - expected[i][k])));
      assert.ok(worst < 1e-5, `answer ${i} is off by ${worst}`);
    }

    const { usedSize, totalSize, embedderHeapUsedSize = 0, backingStorageSize = 0 } = await heap(worker);
    const buffers = backingStorageSize + embedderHeapUsedSize;
    const linear = 2 * PAGES * 65536;
    assert.ok(usedSize > 1e6, "the inspector says nothing of the heap");
    const sum = totalSize + buffers + linear;
    assert.ok(sum <= LIMIT, `${sum} bytes of memory`);

    // Processor time of a short query, of all threads of workerd, without what a request takes that does nothing.
    const repeat = async (count, one) => {
      const before = cpu(worker.pid);
      for (let i = 0; i < count; i++) await one(i);
      return (cpu(worker.pid) - before) / count;
    };
    const nothing = async () => (await fetch(new URL("/health", worker.url))).arrayBuffer();
    const query = (i) => embed({ texts: [`how is memory planned for query ${i}`] });
    const search = async (i) =>
      (await post("/search", { query: `how is memory planned for query ${i}` })).arrayBuffer();
    await repeat(200, nothing);
    await repeat(100, query);
    const rounds = { idle: [], query: [], search: [] };
    for (let round = 0; round < 3; round++) {
      rounds.idle.push(await repeat(200, nothing));
      rounds.query.push(await repeat(200, query));
      rounds.search.push(await repeat(200, search));
    }
    const median = (list) => list.toSorted((a, b) => a - b)[1];
    const [idle, one, found] = [rounds.idle, rounds.query, rounds.search].map(median);
    const mb = (bytes) => `${(bytes / 2 ** 20).toFixed(1)} MiB`;
    return {
      checks: 12,
      figures: {
        [`${REQUESTS} requests at once`]: `all right, none lost, ${took.toFixed(0)} ms`,
        "memory after them": `${mb(sum)} = heap ${mb(totalSize)} (used ${mb(usedSize)}) + buffers ${mb(buffers)} + linear memory, at most ${mb(linear)}`,
        "CPU of a short query": `${(one - idle).toFixed(2)} ms over a null route's ${idle.toFixed(2)} ms`,
        "CPU of a search": `${(found - idle).toFixed(2)} ms`,
      },
    };
  } finally {
    await worker.stop();
  }
}
