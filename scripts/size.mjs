// Prints what a user downloads and fails where it is over budget: wasm of each build, and JavaScript as esbuild splits and minifies it, the
// tokenizer library left out. The entry is what `import "wattention"` brings; families, tasks and what loads them come when asked for.
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
  logLevel: "error", // outside of node_modules it warns of what sideEffects lets it leave out
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
const { metafile, outputFiles } = await build({ ...options, splitting: true, metafile: true });
const contents = new Map(outputFiles.map((f) => [f.path.replace(/.*\/(?=size\/)/, ""), f.contents]));
// The build has put a hash into the names.
const chunkOf = (source) =>
  Object.entries(metafile.outputs).find(([, o]) =>
    Object.keys(o.inputs).some((i) => i.replace(/-[A-Z0-9]{8}\.js$/, ".js").endsWith(source)),
  )[0];
/** The chunks that come with those that hold `sources`, by import statements. */
function closure(...sources) {
  const all = new Set();
  const visit = (file) => {
    if (all.has(file) || !metafile.outputs[file]) return;
    all.add(file);
    for (const { path, kind } of metafile.outputs[file].imports) if (kind === "import-statement") visit(path);
  };
  for (const source of sources) visit(chunkOf(source));
  return Buffer.concat([...all].map((file) => contents.get(file)));
}
const js = (name, bytes, budget) => row(name, bytes.length, brotli(bytes), budget);
const entry = ["host/browser.js"];
const loading = [...entry, "@assemblyscript/loader/index.js", "dist/model.js", "dist/bert.js"];
js("JavaScript of the entry", closure(...entry), BUDGETS.js);
js("  and of loadModel and BERT", closure(...loading));
js("  and of feature-extraction", closure(...loading, "dist/featureExtraction.js"));
js("  everything, in one file", (await build(options)).outputFiles[0].contents);
if (process.argv.includes("--files")) {
  const { metafile } = await build({ ...options, metafile: true });
  const inputs = Object.entries(Object.values(metafile.outputs)[0].inputs).sort(
    (a, b) => b[1].bytesInOutput - a[1].bytesInOutput,
  );
  for (const [file, { bytesInOutput }] of inputs) console.log(`  ${String(bytesInOutput).padStart(6)}  ${file}`);
}
const model = statSync("dist/shipped/default-embedder.safetensors").size;
console.log(`${"the model that ships".padEnd(46)} ${String(model).padStart(7)} B`);
if (failed) process.exitCode = 1;
