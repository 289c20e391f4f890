// Prints what a user downloads and fails where it is over budget. JavaScript is bundled and minified as Vite 8 does it (rolldown, with Vite's
// options) and, beside that, as esbuild does. `--files` adds what the whole consists of, before minifying.
import { readFileSync, statSync } from "node:fs";
import { brotliCompressSync } from "node:zlib";
import { build } from "esbuild";
import { rolldown } from "rolldown";
import { allAtOnce } from "./atOnce.mjs";

const KB = 1000;
const BUDGETS = {
  /** Compressed: one build of the module and the JavaScript of one task and one family, without and with the tokenizer. */
  one: { simd: 45 * KB, relaxed: 46 * KB },
  oneWhole: { simd: 60 * KB, relaxed: 60 * KB },
  /** And all the JavaScript there is. */
  bare: { simd: 100 * KB, relaxed: 101 * KB },
  whole: { simd: 130 * KB, relaxed: 131 * KB },
  /** Bytes of a build. */
  wasm: 90 * KB,
  /** Of the entry alone, minified, as esbuild splits it. */
  entry: 40 * KB,
  /** Compressed. */
  worker: 5.5 * KB,
  view: 5 * KB,
};
let failed = false;
const brotli = (bytes) => brotliCompressSync(bytes).length;

function row(name, columns, budget, of = columns.brotli) {
  const over = budget !== undefined && of > budget;
  failed ||= over;
  const numbers = ["bytes", "brotli", "esbuild"].map((key) => String(columns[key] ?? "").padStart(8));
  console.log(`${name.padEnd(52)}${numbers.join("")}${budget ? `  of ${budget}` : ""}${over ? "  OVER" : ""}`);
  return columns;
}

/** What is in one file where one family and one task are imported by themselves. */
const ONE = `
  import { loadModel } from "./src/host/coreBrowser.ts";
  import { bert } from "./src/models/bert.ts";
  import { featureExtraction } from "./src/tasks/featureExtraction.ts";
  console.log(loadModel, (source) => featureExtraction(source, { families: { bert } }));`;

const options = {
  bundle: true,
  format: "esm",
  target: "es2022",
  external: ["#wasm/*", "@huggingface/jinja"], // it comes with the first conversation, and is not ours
  outdir: "size",
  write: false,
  metafile: true,
  legalComments: "none",
  logLevel: "error", // outside of node_modules it warns of what sideEffects lets it leave out
};

/** One file: bytes minified and compressed by Vite's bundler, and compressed by esbuild. */
async function whole(entry, more = {}) {
  const what = entry === ONE ? { stdin: { contents: ONE, resolveDir: "." } } : { entryPoints: [entry] };
  const one = { ...options, ...more, ...what };
  const [{ text }] = (await build(one)).outputFiles;
  const plugin = { name: "in memory", resolveId: (id) => ({ id, external: id !== "entry" }), load: () => text };
  const bundle = await rolldown({ input: "entry", plugins: [plugin], logLevel: "silent" });
  const vite = { minify: true, comments: false, topLevelVar: true, generatedCode: { preset: "es2015" } };
  const { output } = await bundle.generate({ format: "es", ...vite });
  const code = Buffer.from(output[0].code);
  const small = await build({ ...one, minify: true });
  return { bytes: code.length, brotli: brotli(code), esbuild: brotli(small.outputFiles[0].contents) };
}

console.log(`${"".padEnd(52)}   bytes  brotli esbuild`);
const builds = ["simd", "relaxed"].map((name) => {
  const [raw, inline] = ["wasm", "js"].map((type) => readFileSync(`dist/wasm/${name}.${type}`));
  return {
    name,
    raw: { bytes: raw.length, brotli: brotli(raw) },
    inline: { bytes: inline.length, brotli: brotli(inline) },
  };
});
for (const { name, raw, inline } of builds) {
  row(`module, ${name}`, raw, BUDGETS.wasm, raw.bytes);
  row("  inlined in JavaScript", inline);
}
const tokenizer = {
  name: "the tokenizer stays outside",
  setup: ({ onResolve }) => onResolve({ filter: /\/tokenizer(\/\w+)?\.ts$/ }, ({ path }) => ({ path, external: true })),
};
const sum = (a, b) => ({ bytes: a.bytes + b.bytes, brotli: a.brotli + b.brotli, esbuild: a.brotli + b.esbuild });
// One task and one family, which does not grow with how many there are.
const oneBare = row("one task, one family; no tokenizer", await whole(ONE, { plugins: [allAtOnce, tokenizer] }));
const oneAll = row("  with the tokenizer", await whole(ONE, { plugins: [allAtOnce] }));
for (const { name, raw } of builds) {
  row(`module, ${name}, one task, one family; no tokenizer`, sum(raw, oneBare), BUDGETS.one[name]);
  row("  with the tokenizer", sum(raw, oneAll), BUDGETS.oneWhole[name]);
}
// All there is: the static entry, of which the builds stay outside.
const entry = "src/host/serviceWorker.ts";
const bare = row("JavaScript, everything but the tokenizer", await whole(entry, { plugins: [allAtOnce, tokenizer] }));
const all = row("  with the tokenizer", await whole(entry, { plugins: [allAtOnce] }));
for (const { name, raw, inline } of builds) {
  row(`module, ${name}, and everything but the tokenizer`, sum(raw, bare), BUDGETS.bare[name]);
  row("  with the tokenizer", sum(raw, all), BUDGETS.whole[name]);
  row("  with the tokenizer, the module inlined", sum(inline, all));
}
row("wattention/service-worker, both builds inlined", await whole("dist/host/serviceWorker.js", { external: [] }));
row("wattention/worker", await whole("dist/worker/index.js", {}), BUDGETS.worker);
row("wattention/view", await whole("dist/view/index.js", {}), BUDGETS.view);

// What comes when: the entry, and what is imported when it is asked for.
const { metafile, outputFiles } = await build({
  ...options,
  entryPoints: ["dist/host/browser.js"],
  minify: true,
  splitting: true,
});
const contents = new Map(outputFiles.map((f) => [f.path.replace(/.*\/(?=size\/)/, ""), f.contents]));
// The build has put a hash into the names.
const chunkOf = (source) =>
  Object.entries(metafile.outputs).find(([, o]) =>
    Object.keys(o.inputs).some((i) => i.replace(/-[A-Z0-9]{8}\.js$/, ".js").endsWith(source)),
  )[0];
/** The chunks that come with those that hold `sources`, by import statements. */
function closure(...sources) {
  const found = new Set();
  const visit = (file) => {
    if (found.has(file) || !metafile.outputs[file]) return;
    found.add(file);
    for (const { path, kind } of metafile.outputs[file].imports) if (kind === "import-statement") visit(path);
  };
  for (const source of sources) visit(chunkOf(source));
  const bytes = Buffer.concat([...found].map((file) => contents.get(file)));
  return { bytes: bytes.length, esbuild: brotli(bytes) };
}
const first = closure("host/browser.js");
row("split: import wattention", first, BUDGETS.entry, first.bytes);
const loading = ["host/browser.js", "@assemblyscript/loader/index.js", "dist/model.js", "models/bert.js"];
row("  and loadModel with BERT", closure(...loading));
row("  and feature-extraction", closure(...loading, "tasks/featureExtraction.js"));
row("the model that ships", { bytes: statSync("dist/shipped/default-embedder.safetensors").size });
if (process.argv.includes("--files")) {
  const { metafile } = await build({ ...options, entryPoints: [entry], plugins: [allAtOnce], minify: true });
  const inputs = Object.entries(Object.values(metafile.outputs)[0].inputs).map(([file, o]) => [file, o.bytesInOutput]);
  for (const [file, bytes] of inputs.sort((a, b) => b[1] - a[1])) row(`  ${file}`, { bytes });
}
process.exitCode = failed ? 1 : 0;
