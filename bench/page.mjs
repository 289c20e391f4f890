/** What throttled.mjs runs in a page: loads the peers, then times them in interleaved rounds. Addresses are the page's own. */
import { env, InferenceSession, Tensor } from "onnxruntime-web/wasm";
import { loadModel } from "#wattention";
import { interleave } from "./measure.mjs";
import { ofModel, ofSession } from "./runners.mjs";

env.wasm.numThreads = 1;
env.wasm.wasmPaths = new URL("/ort/", location.href).href;
const runs = new Map();

/** @returns undefined, or why it cannot run here */
globalThis.load = async ({ word, source, options, onnx, weights }) => {
  try {
    if (source) {
      runs.set(word, ofModel(await loadModel(new URL(source, location.href).href, options)));
      return;
    }
    const bytes = async (path) => new Uint8Array(await (await fetch(path)).arrayBuffer());
    const external = weights && { externalData: [{ path: weights.split("/").pop(), data: await bytes(weights) }] };
    const session = await InferenceSession.create(await bytes(onnx), { executionProviders: ["wasm"], ...external });
    runs.set(
      word,
      ofSession((feeds) => session.run(feeds), Tensor),
    );
  } catch (error) {
    return String(error?.message ?? error);
  }
};

/** @returns samples[peer][round] and the vector of each peer, in the order they were loaded */
globalThis.measure = async (ids, pace) => {
  const text = Int32Array.from(ids);
  const samples = await interleave(
    [...runs.values()].map((run) => () => run(text)),
    pace,
  );
  const vectors = [];
  for (const run of runs.values()) vectors.push([...(await run(text))]);
  return { samples: samples.map((rounds) => rounds.map(({ ms }) => ms)), vectors };
};
