/**
 * Runs under the processor that is tested, and under this one: `node job.mjs < JOB` prints its results as JSON, bytes in base64.
 *   { entry, folder, texts, ids, options }   vectors of the texts, or last_hidden_state of the ids, by the package as built
 *   { wasm, pages, image, at, calls, out }   a module's exports called one after another on a memory that holds `image` at byte `at`;
 *                                            out: [from, to] of the bytes that are the result
 */
import { readFileSync } from "node:fs";
import { pathToFileURL } from "node:url";

const jobs = JSON.parse(readFileSync(0, "utf8"));
const base64 = (bytes) => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString("base64");
const results = [];
for (const job of jobs) results.push(await (job.wasm ? module(job) : model(job)));
console.log(JSON.stringify({ arch: process.arch, results }));

async function module({ wasm, pages, image, at, calls, out }) {
  const memory = new WebAssembly.Memory({ initial: pages });
  const { exports } = (await WebAssembly.instantiate(readFileSync(wasm), { env: { memory } })).instance;
  const bytes = new Uint8Array(memory.buffer);
  bytes.set(Buffer.from(image, "base64"), at);
  for (const [name, ...args] of calls) exports[name](...args);
  return base64(bytes.subarray(...out));
}

async function model({ entry, folder, texts, ids, options }) {
  const { loadModel, pipeline } = await import(pathToFileURL(entry));
  if (texts) {
    const extract = await pipeline("feature-extraction", folder, options);
    const { data } = await extract(texts);
    extract.dispose();
    return base64(data);
  }
  const loaded = await loadModel(folder, options);
  const { last_hidden_state } = await loaded.forward({ input_ids: ids });
  loaded.dispose();
  return base64(last_hidden_state.data);
}
