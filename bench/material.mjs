/** The measured model and its inputs, from `shared/` beside the repository. Nothing here is needed to build or test the package. */
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";

const shared = (path) => fileURLToPath(new URL(`../../shared/${path}`, import.meta.url));

export const minilm = {
  name: "all-MiniLM-L6-v2",
  folder: shared("models/all-MiniLM-L6-v2"),
  weights: shared("models/all-MiniLM-L6-v2/model.safetensors"),
  onnx: { f32: shared("bench/minilm-f32.onnx"), int8: shared("bench/minilm-int8.onnx") },
};

/** Which of the files are absent. */
export const missing = () => [minilm.weights, ...Object.values(minilm.onnx)].filter((path) => !existsSync(path));

const reference = () => JSON.parse(readFileSync(`${minilm.folder}/reference.json`, "utf8"));

/** `length` ids of real text: [CLS], the pieces of the reference texts one after another, [SEP]. */
export function textOfLength(length) {
  const [cls, sep] = [101, 102];
  const pieces = reference().input_ids.flatMap((ids) => ids.slice(1, -1));
  return Int32Array.of(cls, ...pieces.slice(0, length - 2), sep);
}

/** Texts with the mean-pooled, normalised embeddings that PyTorch gives them: `{ ids, embedding }[]`, lengths spread evenly over what there is. */
export function pytorch(count) {
  const bytes = readFileSync(`${minilm.folder}/expected.safetensors`);
  const header = Number(bytes.readBigUInt64LE(0));
  const { embeddings } = JSON.parse(bytes.subarray(8, 8 + header).toString());
  const data = new Float32Array(Uint8Array.from(bytes.subarray(8 + header + embeddings.data_offsets[0])).buffer);
  const width = embeddings.shape[1];
  return reference()
    .input_ids.map((ids, i) => ({
      ids: Int32Array.from(ids),
      embedding: data.subarray(i * width, (i + 1) * width),
    }))
    .sort((a, b) => a.ids.length - b.ids.length)
    .filter((_, i, all) => i % Math.floor(all.length / count) === 0);
}

/** The const enums of a TypeScript source: `{ Op: { matmul: 0, … }, … }`. The layout of records is written down once, there. */
export function constEnums(source) {
  const found = {};
  for (const [, name, body] of source.matchAll(/const enum (\w+) \{([^}]*)\}/g))
    found[name] = Object.fromEntries(
      [...body.matchAll(/^\s*(\w+) = (-?\w+),/gm)].map(([, key, value]) => [key, Number(value)]),
    );
  return found;
}
