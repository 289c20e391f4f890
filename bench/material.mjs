/** The measured model and its inputs, from `shared/` beside the repository. Nothing here is needed to build or test the package. */
import { existsSync, readFileSync } from "node:fs";
import { createRequire } from "node:module";
import { fileURLToPath } from "node:url";

export const repository = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
/** Files that the bench makes: git ignores the folder. */
export const work = (path) => repository(`build/bench/${path}`);
const shared = (path) => repository(`../shared/${path}`);

const folder = shared("models/all-MiniLM-L6-v2");
export const minilm = {
  name: "all-MiniLM-L6-v2",
  folder,
  weights: `${folder}/model.safetensors`,
  settings: ["config.json", "tokenizer.json", "tokenizer_config.json"].map((name) => `${folder}/${name}`),
  config: () => JSON.parse(readFileSync(`${folder}/config.json`, "utf8")),
  onnx: { f32: shared("bench/minilm-f32.onnx"), int8: shared("bench/minilm-int8.onnx") },
};
/** A Llama of 260 thousand parameters, and texts of its kind. */
export const stories = { folder: shared("models/stories260K"), texts: shared("data/tinystories-200.json") };
const sts = shared("data/sts-pairs.tsv");

/** Which of the files are absent. */
export const missing = () => [minilm.weights, ...Object.values(minilm.onnx), sts].filter((path) => !existsSync(path));

const reference = () => JSON.parse(readFileSync(`${minilm.folder}/reference.json`, "utf8"));

/** `length` ids of real text: [CLS], the pieces of the reference texts one after another, [SEP]. */
export function textOfLength(length) {
  const [cls, sep] = [101, 102];
  const pieces = reference().input_ids.flatMap((ids) => ids.slice(1, -1));
  return Int32Array.of(cls, ...pieces.slice(0, length - 2), sep);
}

/** Texts with the mean-pooled, normalised embeddings that PyTorch gives them: `{ ids, embedding }[]`, lengths spread evenly over what there is. */
export function pytorch(count) {
  const { embeddings } = readSafetensors(`${minilm.folder}/expected.safetensors`);
  const width = embeddings.shape[1];
  return reference()
    .input_ids.map((ids, i) => ({
      ids: Int32Array.from(ids),
      embedding: embeddings.data.subarray(i * width, (i + 1) * width),
    }))
    .sort((a, b) => a.ids.length - b.ids.length)
    .filter((_, i, all) => i % Math.floor(all.length / count) === 0);
}

/** Pairs of sentences and how alike people found them: `{ texts: [string, string], score: 0 … 5 }[]`, every so many-th of them. */
export function pairs(count = Number.POSITIVE_INFINITY) {
  const all = readFileSync(sts, "utf8").trim().split("\n");
  const step = Math.max(1, all.length / count);
  return all
    .filter((_, i) => Math.floor(i / step) !== Math.floor((i - 1) / step))
    .map((line) => line.split("\t"))
    .map(([a, b, score]) => ({ texts: [a, b], score: Number(score) }));
}

/** `count` different sentences of mixed lengths, the same ones each time. */
export function sentences(count) {
  const all = [...new Set(pairs().flatMap(({ texts }) => texts))];
  return Array.from({ length: count }, (_, i) => all[Math.floor((i * all.length) / count)]);
}

/** Hugging Face's own tokenizer for MiniLM, so that ids come from nobody who is measured. @returns text → Int32Array */
export async function tokenizer() {
  const { Tokenizer } = await import("@huggingface/tokenizers");
  const read = (name) => JSON.parse(readFileSync(`${minilm.folder}/${name}`, "utf8"));
  const made = new Tokenizer(read("tokenizer.json"), read("tokenizer_config.json"));
  return (text) => Int32Array.from(made.encode(text).ids);
}

/** The F32 tensors of a safetensors file: `{ name: { data, shape } }`. */
export function readSafetensors(path) {
  const bytes = readFileSync(path);
  const start = 8 + Number(bytes.readBigUInt64LE(0));
  const found = {};
  for (const [name, { dtype, shape, data_offsets }] of Object.entries(
    JSON.parse(bytes.subarray(8, start).toString()),
  )) {
    if (dtype !== "F32") continue;
    const [from, to] = data_offsets.map((offset) => bytes.byteOffset + start + offset);
    // A copy where the file's header leaves numbers at an odd address.
    found[name] = {
      shape,
      data:
        from % 4
          ? new Float32Array(bytes.buffer.slice(from, to))
          : new Float32Array(bytes.buffer, from, (to - from) / 4),
    };
  }
  return found;
}

const { resolve } = createRequire(import.meta.url);
/** true, or what to do. */
export function installed(name) {
  try {
    return Boolean(resolve(name));
  } catch {
    return `${name} is not installed: run \`npm ci\` in bench/`;
  }
}

export const versionOf = (name) =>
  JSON.parse(readFileSync(new URL(`node_modules/${name}/package.json`, import.meta.url), "utf8")).version;

/** The const enums of a TypeScript source: `{ Op: { matmul: 0, … }, … }`. The layout of records is written down once, there. */
export function constEnums(source) {
  const found = {};
  for (const [, name, body] of source.matchAll(/const enum (\w+) \{([^}]*)\}/g))
    found[name] = Object.fromEntries(
      [...body.matchAll(/^\s*(\w+) = (-?\w+),/gm)].map(([, key, value]) => [key, Number(value)]),
    );
  return found;
}
