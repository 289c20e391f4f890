/**
 * Everything, one process after another: `node all.mjs [--json FILE] [--svg FILE] [--only PARTS]`. A part that cannot run here says why and the
 * others go on; a part that fails makes this fail at the end.
 */
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { chart, decodersChart } from "./chart.mjs";
import { work } from "./material.mjs";

const OWN = "wattention,wattention-q8,wattention-q8-exact,wattention-q4";
const here = (path) => fileURLToPath(new URL(path, import.meta.url));
const node20 = here("node_modules/node-v20/bin/node");
const transformers = (runtime) => `transformers-${runtime}int8,transformers-${runtime}f32,wattention,wattention-q8`;
/** What runs, and its title. */
const parts = {
  minilm: {
    title: "MiniLM by length, accuracy, first results, sizes",
    args: [
      "minilm.mjs",
      "--peers",
      `${OWN},wattention-simd,wattention-q8-simd,shipped,ort-f32,ort-int8,tfjs-wasm,native-f32,native-int8,transformers-f32,transformers-int8,transformers-web-f32,transformers-web-int8`,
      "--lengths",
      "16,32,64,128,256,512",
      "--sizes",
    ],
  },
  batch: {
    title: "64 sentences as one batch, transformers.js on the runtime it has under Node (native)",
    args: ["batch.mjs", "--peers", transformers("")],
  },
  batch_web: {
    title: "64 sentences as one batch, transformers.js on the runtime it has elsewhere (WebAssembly)",
    args: ["batch.mjs", "--peers", transformers("web-")],
  },
  node20: {
    title: "Plain SIMD: both under Node 20, which has no relaxed SIMD",
    command: node20,
    why: "Node 20 is not installed: run `npm ci` in bench/",
    args: ["minilm.mjs", "--peers", "wattention,wattention-q8,ort-f32,ort-int8", "--starts", "0", "--pairs", "0"],
  },
  kernels: { title: "Kernels", args: ["kernels.mjs"] },
  throttled: { title: "Low power: Chromium, throttled", args: ["throttled.mjs"] },
  perplexity: { title: "stories260K: perplexity by dtype", args: ["perplexity.mjs"] },
  decoders: { title: "Decoders: a page of Chromium, beside wllama", args: ["decoders.mjs"] },
};
const { values: options } = parseArgs({
  options: { json: { type: "string" }, svg: { type: "string" }, only: { type: "string" }, help: { type: "boolean" } },
});
const chosen = options.only?.split(",") ?? Object.keys(parts);
const unknown = chosen.filter((name) => !Object.hasOwn(parts, name));
if (options.help || unknown.length) {
  console.log(`usage: node all.mjs [--only ${Object.keys(parts).join(",")}] [--json FILE] [--svg FILE]`);
  process.exit(unknown.length ? 2 : 0);
}
const results = {};
const failed = [];
mkdirSync(work(""), { recursive: true });
for (const name of chosen) {
  const { title, args, command = process.execPath, why } = parts[name];
  console.log(`\n## ${title}\n`);
  if (!existsSync(command)) {
    console.log(`skipped: ${why}`);
    continue;
  }
  const file = work(`${name}.json`);
  rmSync(file, { force: true });
  const [script, ...rest] = args;
  const { status } = spawnSync(command, [here(script), ...rest, "--json", file], { stdio: "inherit" });
  if (status !== 0) failed.push(name);
  if (existsSync(file)) results[name] = JSON.parse(readFileSync(file, "utf8"));
}
if (options.json) writeFileSync(options.json, `${JSON.stringify(results, null, 1)}\n`);
if (options.svg && results.minilm) writeFileSync(options.svg, chart(results.minilm));
if (options.svg && results.decoders)
  writeFileSync(options.svg.replace(/(\.svg)?$/, "-decoders.svg"), decodersChart(results.decoders));
if (failed.length) console.error(`\nfailed: ${failed.join(", ")}`);
process.exit(failed.length ? 1 : 0);
