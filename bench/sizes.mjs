/**
 * What a page downloads, raw and by brotli (quality 9 for everybody: 11 takes minutes for the large ones). Code is bundled and minified by esbuild
 * for a browser. Of ours those chunks count that hold a module which a fresh process loaded on its way to the first result; of the others the
 * smallest entry that has a WebAssembly backend, and the .wasm that it fetches. Native addons: the files that a Linux x64 process opens.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, realpathSync, rmSync, writeFileSync } from "node:fs";
import { dirname, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants } from "node:zlib";
import { build } from "esbuild";
import { repository, work } from "./material.mjs";
import { ours } from "./peers/wattention.mjs";

const packages = fileURLToPath(new URL("node_modules/", import.meta.url));
const web = (name) => `${packages}onnxruntime-web/dist/ort-wasm-simd-threaded${name}`;
const native = `${packages}onnxruntime-node/bin/napi-v6/linux/x64/`;
const ort = { code: `export { InferenceSession, Tensor, env } from "onnxruntime-web/wasm";`, files: [web(".wasm")] };
const addon = { code: "", files: ["libonnxruntime.so.1", "onnxruntime_binding.node"].map((file) => native + file) };
const CODE = {
  "ort-f32": ort,
  "ort-int8": ort,
  "native-f32": addon,
  "native-int8": addon,
  "tfjs-wasm": {
    code: `export * from "@tensorflow/tfjs-core"; export * from "@tensorflow/tfjs-backend-wasm";`,
    files: [`${packages}@tensorflow/tfjs-backend-wasm/dist/tfjs-backend-wasm-simd.wasm`],
  },
};
for (const dtype of ["f32", "int8"])
  CODE[`transformers-web-${dtype}`] = {
    // It asks for the build with WebGPU, which also holds the WebAssembly kernels.
    code: `export { env, pipeline } from "${packages}@huggingface/transformers/dist/transformers.web.js";`,
    files: [web(".asyncify.wasm"), web(".asyncify.mjs")],
  };

/** @returns `{ word, peer, mode, code, model }[]`, code and model each `{ raw, brotli }` */
export async function sizes(peers) {
  const rows = [];
  for (const one of peers)
    for (const mode of ["ids", "text"]) {
      if (!(mode === "ids" ? one.load : one.loadText)) continue;
      if (!one.own && mode === "text" && one.load && CODE[one.word] && !one.word.startsWith("transformers")) continue;
      const parts = one.own ? await own(one, mode) : await other(one.word);
      if (!parts) continue;
      rows.push({
        word: one.word,
        peer: one.name,
        mode,
        code: sum(parts),
        model: sum(one.files(mode).map(compressed)),
      });
    }
  return rows;
}

const sum = (parts) => ({
  raw: parts.reduce((total, part) => total + part.raw, 0),
  brotli: parts.reduce((total, part) => total + part.brotli, 0),
});

const minified = {
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  platform: "browser",
  write: false,
  legalComments: "none",
  logLevel: "error",
};

async function other(word) {
  if (!CODE[word]) return undefined;
  const { code, files } = CODE[word];
  const { outputFiles } = await build({
    ...minified,
    stdin: { contents: code, resolveDir: packages },
    external: [
      "node:*",
      "fs",
      "path",
      "url",
      "module",
      "worker_threads",
      "perf_hooks",
      "os",
      "onnxruntime-node",
      "sharp",
    ],
  });
  return [weighed(outputFiles[0].contents), ...files.map(compressed)];
}

async function own(one, mode) {
  const entry = resolve(one.word.split("=")[1] ?? ours);
  const trace = work("trace.json");
  mkdirSync(dirname(trace), { recursive: true });
  execFileSync(
    process.execPath,
    [
      "--import",
      new URL("trace.mjs", import.meta.url).href,
      fileURLToPath(new URL("start.mjs", import.meta.url)),
      one.word,
      mode,
    ],
    {
      env: { ...process.env, TRACE: trace },
      stdio: "ignore",
    },
  );
  const loaded = JSON.parse(readFileSync(trace, "utf8"))
    .filter((url) => url.startsWith("file:"))
    .map((url) => realpathSync(fileURLToPath(url)));
  rmSync(trace);
  const host = dirname(entry);
  const used = new Set([...loaded, resolve(host, "browser.js")]);
  const wasm = loaded.filter((path) => path.startsWith(resolve(host, "../wasm")));
  const { metafile, outputFiles } = await build({
    ...minified,
    entryPoints: [resolve(host, "browser.js")],
    splitting: true,
    metafile: true,
    external: ["#wasm/*"],
    outdir: work("size"),
    absWorkingDir: repository("."),
  });
  const chunks = Object.entries(metafile.outputs)
    .filter(([, { inputs }]) => Object.keys(inputs).some((input) => used.has(realpathSync(repository(input)))))
    .map(([path]) => outputFiles.find((file) => relative(repository("."), file.path) === path).contents);
  return [...chunks.map(weighed), ...wasm.map(compressed)];
}

const compress = (bytes) =>
  brotliCompressSync(bytes, {
    params: {
      [constants.BROTLI_PARAM_QUALITY]: 9,
      [constants.BROTLI_PARAM_LGWIN]: 24,
      [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length,
    },
  }).length;
const weighed = (bytes) => ({ raw: bytes.length, brotli: compress(bytes) });

/** A file's sizes. Kept between runs by content, since 90 MB of weights take half a minute. */
function compressed(path) {
  const bytes = readFileSync(path);
  const kept = work(`brotli/${createHash("sha256").update(bytes).digest("hex").slice(0, 32)}`);
  if (!existsSync(kept)) {
    mkdirSync(dirname(kept), { recursive: true });
    writeFileSync(kept, String(compress(bytes)));
  }
  return { raw: bytes.length, brotli: Number(readFileSync(kept, "utf8")) };
}
