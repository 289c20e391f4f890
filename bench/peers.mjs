/**
 * Who is compared. A peer is `{ name, why_not(), load() }`, and a loaded one `{ version, run(ids), dispose() }`: `run` takes the ids of one
 * text in an Int32Array and gives its mean-pooled last_hidden_state in a Float32Array, so that everybody is timed from the same
 * input to the same output. All run on one thread.
 */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { basename, dirname, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { minilm } from "./material.mjs";

export const ours = fileURLToPath(new URL("../dist/host/node.js", import.meta.url));

/** Mean over the rows of `[1, T, width]`. */
function meanOfRows(data, rows) {
  const width = data.length / rows;
  const mean = new Float32Array(width);
  for (let at = 0; at < data.length; at += width) for (let j = 0; j < width; j++) mean[j] += data[at + j];
  for (let j = 0; j < width; j++) mean[j] /= rows;
  return mean;
}

/** wattention as built at `entry`; two builds can be compared by giving two entries. */
function wattention(entry = ours, options = {}) {
  const path = resolve(entry);
  return {
    name: path === ours ? "wattention f32" : `wattention f32 (${relative(process.cwd(), path)})`,
    exact: true,
    why_not: () => existsSync(path) || `${path} is absent: run \`npm run build\` in the repository first`,
    async load() {
      const { loadModel } = await import(pathToFileURL(path));
      const model = await loadModel(minilm.folder, options);
      return {
        model,
        version: versionAbove(path),
        async run(ids) {
          const { last_hidden_state } = await model.forward(
            { input_ids: { data: ids, dims: [1, ids.length] } },
            { outputs: ["last_hidden_state"] },
          );
          return meanOfRows(last_hidden_state.data, ids.length);
        },
        dispose: () => model.dispose(),
      };
    },
  };
}

/** onnxruntime-web's WebAssembly provider. The f32 file holds the graph only: its weights are those of model.safetensors. */
function onnxruntimeWeb(dtype) {
  return {
    name: `onnxruntime-web ${dtype}`,
    exact: dtype === "f32",
    why_not: () => {
      try {
        return Boolean(createRequire(import.meta.url).resolve("onnxruntime-web"));
      } catch {
        return "onnxruntime-web is not installed: run `npm ci` in bench/";
      }
    },
    async load() {
      const { InferenceSession, Tensor, env } = await import("onnxruntime-web");
      env.wasm.numThreads = 1;
      const session = await InferenceSession.create(readFileSync(minilm.onnx[dtype]), {
        executionProviders: ["wasm"],
        graphOptimizationLevel: "all",
        ...(dtype === "f32" && {
          externalData: [{ path: basename(minilm.weights), data: readFileSync(minilm.weights) }],
        }),
      });
      return {
        version: env.versions.web,
        async run(ids) {
          const dims = [1, ids.length];
          const { last_hidden_state } = await session.run({
            input_ids: new Tensor("int64", BigInt64Array.from(ids, BigInt), dims),
            attention_mask: new Tensor("int64", new BigInt64Array(ids.length).fill(1n), dims),
            token_type_ids: new Tensor("int64", new BigInt64Array(ids.length), dims),
          });
          return meanOfRows(last_hidden_state.data, ids.length);
        },
        dispose: () => session.release(),
      };
    },
  };
}

function versionAbove(path) {
  for (let folder = dirname(path); folder !== dirname(folder); folder = dirname(folder))
    if (existsSync(`${folder}/package.json`))
      return JSON.parse(readFileSync(`${folder}/package.json`, "utf8")).version ?? "";
  return "";
}

/** The peers by the names that the command line takes. `wattention` may be followed by `=ENTRY`. */
const known = {
  wattention,
  "ort-f32": () => onnxruntimeWeb("f32"),
  "ort-int8": () => onnxruntimeWeb("int8"),
};

/** The peer that `word` names. @throws Error listing what there is. */
export function peer(word) {
  const [name, entry] = word.split("=");
  if (!Object.hasOwn(known, name)) throw new Error(`no peer "${name}"; there are ${Object.keys(known).join(", ")}`);
  return { word, ...known[name](entry) };
}
