/**
 * transformers.js from local files, on either of its runtimes: the native one that it takes by itself under Node (onnxruntime-node), and the
 * WebAssembly one that it takes everywhere else (onnxruntime-web), given to it through the global symbol that it looks for. One thread.
 */
import { copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, statSync } from "node:fs";
import { basename } from "node:path";
import { installed, minilm, versionOf, work } from "../material.mjs";
import { ofSession } from "../runners.mjs";

const NAME = "@huggingface/transformers";
const DTYPE = { f32: "fp32", int8: "q8" };

/** @param runtime "node" or "web" @param dtype "f32" or "int8": transformers.js calls them fp32 and q8 */
export function transformers(runtime, dtype) {
  const library = `onnxruntime-${runtime}`;
  const start = async () => {
    const ort = runtime === "web" ? await import("onnxruntime-web") : undefined;
    if (ort) {
      globalThis[Symbol.for("onnxruntime")] = ort;
      ort.env.wasm.numThreads = 1;
      ort.env.wasm.wasmPaths = new URL("./", import.meta.resolve("onnxruntime-web")).href;
    }
    const { env, pipeline, Tensor } = await import(NAME);
    Object.assign(env, { allowRemoteModels: false, localModelPath: work("transformers.js/"), useWasmCache: false });
    const extract = await pipeline("feature-extraction", "minilm", {
      dtype: DTYPE[dtype],
      // "auto" is what it has: nothing but the runtime that was given.
      device: ort ? "auto" : "cpu",
      session_options: {
        intraOpNumThreads: 1,
        interOpNumThreads: 1,
        // Under Node it hands onnxruntime-web a path, which the module has no file system for.
        ...(ort &&
          dtype === "f32" && {
            externalData: [{ path: basename(minilm.weights), data: readFileSync(minilm.weights) }],
          }),
      },
    });
    return { extract, Tensor };
  };
  const version = () => `${versionOf(NAME)}, ${library} ${versionOf(library)}`;
  return {
    name: `transformers.js ${DTYPE[dtype]} (${library})`,
    group: dtype === "f32" ? "f32" : "8-bit",
    exact: dtype === "f32",
    // It chooses its runtime once in a process.
    apart: runtime,
    why_not: () => (installed(NAME) === true ? installed(library) : installed(NAME)),
    prepare: arrange,
    files: (mode) => [
      ...(dtype === "f32" ? [minilm.onnx.f32, minilm.weights] : [minilm.onnx.int8]),
      ...minilm.settings.slice(0, mode === "ids" ? 1 : 3),
    ],
    async load() {
      const { extract, Tensor } = await start();
      const run = ofSession(extract.model, Tensor);
      return { version: version(), run, dispose: () => extract.dispose() };
    },
    async loadText() {
      const { extract } = await start();
      return {
        version: version(),
        embed: async (texts) => (await extract(texts, { pooling: "mean", normalize: true })).data,
        dispose: () => extract.dispose(),
      };
    },
  };
}

/** The folder that transformers.js expects. Copies: onnxruntime refuses weights that a link leads out of the model's folder to. */
function arrange() {
  const to = (name) => work(`transformers.js/minilm/${name}`);
  mkdirSync(to("onnx"), { recursive: true });
  const copy = (from, name) => {
    if (existsSync(to(name)) && statSync(to(name)).size === statSync(from).size) return;
    copyFileSync(from, `${to(name)}.part`);
    renameSync(`${to(name)}.part`, to(name));
  };
  for (const file of minilm.settings) copy(file, basename(file));
  copy(minilm.onnx.f32, "onnx/model.onnx");
  copy(minilm.weights, `onnx/${basename(minilm.weights)}`);
  copy(minilm.onnx.int8, "onnx/model_quantized.onnx");
}
