// Prints what a user downloads and fails where it is over budget: wasm of each build, and the entry's JavaScript as esbuild minifies it,
// the tokenizer library left out. One bundle holds everything the entry can reach; split, what is imported on demand stands apart.
import { readFileSync, statSync } from "node:fs";
import { brotliCompressSync } from "node:zlib";
import { build } from "esbuild";

const KB = 1000;
const BUDGETS = { wasm: 60 * KB, js: 40 * KB };
const options = {
  entryPoints: ["dist/host/browser.js"],
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  external: ["@huggingface/tokenizers", "#wasm/*"],
  outdir: "size",
  write: false,
  legalComments: "none",
};
let failed = false;
function row(name, bytes, brotli, budget) {
  const over = budget !== undefined && bytes > budget;
  failed ||= over;
  console.log(
    `${name.padEnd(46)} ${String(bytes).padStart(7)} B  ${String(brotli).padStart(6)} B brotli${budget ? `  budget ${budget}${over ? "  OVER" : ""}` : ""}`,
  );
}
const brotli = (bytes) => brotliCompressSync(bytes).length;

for (const name of ["simd", "relaxed"]) {
  const bytes = readFileSync(`dist/wasm/${name}.wasm`);
  row(`wasm ${name}`, bytes.length, brotli(bytes), BUDGETS.wasm);
  const inline = readFileSync(`dist/wasm/${name}.js`);
  row(`  the same as a JavaScript module`, inline.length, brotli(inline));
}
const whole = (await build(options)).outputFiles[0].contents;
const split = (await build({ ...options, splitting: true })).outputFiles;
const entry = split.find((f) => f.path.endsWith("browser.js"));
row("JavaScript, all that the entry reaches, one file", whole.length, brotli(whole), BUDGETS.js);
row("  the entry alone, the rest split off", entry.contents.length, brotli(entry.contents));
if (process.argv.includes("--files")) {
  const { metafile } = await build({ ...options, metafile: true });
  const inputs = Object.entries(Object.values(metafile.outputs)[0].inputs).sort(
    (a, b) => b[1].bytesInOutput - a[1].bytesInOutput,
  );
  for (const [file, { bytesInOutput }] of inputs) console.log(`  ${String(bytesInOutput).padStart(6)}  ${file}`);
}
const model = statSync("models/default-embedder/model.safetensors").size;
console.log(`${"the model that ships".padEnd(46)} ${String(model).padStart(7)} B`);
if (failed) process.exitCode = 1;
