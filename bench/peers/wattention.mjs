/** wattention as built at `entry` (dist/host/node.js), in each of its dtypes and builds; two builds are compared by giving two entries. */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, rmSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { minilm, repository, work } from "../material.mjs";
import { ofModel } from "../runners.mjs";

export const ours = repository("dist/host/node.js");
export const DTYPES = ["f32", "q8", "q8-exact", "q4"];
/** Least mean cosine to f32 vectors. */
const PROMISED = { q8: 0.995, "q8-exact": 0.9995, q4: 0.96 };
/** Nothing is compared but MiniLM with MiniLM; the model that ships is its own line of the text-in starts. */
const pooled = { pooling: "mean", normalize: true };

/**
 * @param variant.dtype how weights are kept
 * @param variant.simd the plain-SIMD build (`deterministic: true`), which is what Safari and Node 20 run
 */
export function wattention({ dtype = "f32", simd = false }, entry = ours) {
  const path = resolve(entry);
  const options = { ...(dtype !== "f32" && { dtype }), ...(simd && { deterministic: true }) };
  // A packed file where `pack` could make one: what a page or a Worker loads.
  const packed = packedFile(path, dtype);
  const source = () => (existsSync(packed) ? [packed, simd ? { deterministic: true } : {}] : [minilm.folder, options]);
  const where = path === ours ? "" : ` (${relative(process.cwd(), path)})`;
  return {
    name: `wattention ${dtype}${simd ? " simd" : ""}${where}`,
    group: { f32: "f32", q8: "8-bit", "q8-exact": "8-bit", q4: "4-bit" }[dtype],
    exact: dtype === "f32",
    promise: PROMISED[dtype],
    own: true,
    files: (mode) =>
      existsSync(packed) ? [packed] : [minilm.weights, ...minilm.settings.slice(0, mode === "ids" ? 1 : 3)],
    async why_not() {
      if (!existsSync(path)) return `${path} is absent: run \`npm run build\` in the repository first`;
      return dtype === "f32" || (await readsDtype(path)) || "this build has f32 only";
    },
    prepare: () => (dtype === "f32" ? undefined : pack(path, dtype)),
    async load() {
      const { loadModel } = await import(pathToFileURL(path));
      const model = await loadModel(...source());
      return { model, version: versionAbove(path), run: ofModel(model), dispose: () => model.dispose() };
    },
    async loadText() {
      const { pipeline } = await import(pathToFileURL(path));
      const extract = await pipeline("feature-extraction", ...source());
      return {
        version: versionAbove(path),
        embed: async (texts) => (await extract(texts, pooled)).data,
        dispose: () => extract.dispose(),
      };
    },
  };
}

/** The model that ships with the package, as `pipeline("feature-extraction")` gives it: text in only, and not MiniLM's vectors. */
export function shipped(entry = ours) {
  const path = resolve(entry);
  return {
    name: "wattention shipped model",
    group: "shipped",
    own: true,
    files: () => [fileURLToPath(new URL("../shipped/default-embedder.safetensors", pathToFileURL(path)))],
    why_not: () => existsSync(path) || `${path} is absent`,
    async loadText() {
      const { pipeline } = await import(pathToFileURL(path));
      const extract = await pipeline("feature-extraction");
      return {
        version: versionAbove(path),
        embed: async (texts) => (await extract(texts)).data,
        dispose: () => extract.dispose(),
      };
    },
  };
}

const packedFile = (path, dtype) =>
  work(`${createHash("sha256").update(path).digest("hex").slice(0, 8)}-minilm-${dtype}.safetensors`);

/** Makes the packed file anew. @returns why there is none, if there is none: the peer quantises at load then. */
function pack(path, dtype) {
  const file = packedFile(path, dtype);
  mkdirSync(dirname(file), { recursive: true });
  rmSync(file, { force: true });
  const cli = fileURLToPath(new URL("../cli/main.js", pathToFileURL(path)));
  try {
    execFileSync(process.execPath, [cli, "pack", minilm.folder, "--dtype", dtype, "-o", file], { stdio: "pipe" });
  } catch (error) {
    rmSync(file, { force: true });
    return `no packed file (${String(error.stderr || error.message).split("\n")[0]}), quantised at load`;
  }
}

const read = new Map();
/** Whether the build at `path` looks at `dtype` at all: one that takes a dtype that does not exist would run f32 under another name. */
function readsDtype(path) {
  if (!read.has(path))
    read.set(
      path,
      (async () => {
        const { loadModel } = await import(pathToFileURL(path));
        try {
          (await loadModel(repository("models/default-embedder"), { dtype: "no-such-dtype" })).dispose();
          return false;
        } catch {
          return true;
        }
      })(),
    );
  return read.get(path);
}

function versionAbove(path) {
  for (let folder = dirname(path); folder !== dirname(folder); folder = dirname(folder))
    if (existsSync(`${folder}/package.json`))
      return JSON.parse(readFileSync(`${folder}/package.json`, "utf8")).version ?? "";
  return "";
}
