/**
 * Low power: wattention and onnxruntime-web in a page of Chromium whose CPU is throttled (Emulation.setCPUThrottlingRate), main thread, one
 * thread. Needs playwright-core (`npm ci` here) and a Chromium: --chromium, CHROMIUM, or where systems put it. Says why where it skips.
 */
import { createReadStream, existsSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname } from "node:path";
import { parseArgs } from "node:util";
import { baselineOf } from "./lengths.mjs";
import { installed, minilm, missing, repository, textOfLength, work } from "./material.mjs";
import { cosineDistance, quartiles, table } from "./measure.mjs";
import { ready } from "./peers.mjs";

const { values: options } = parseArgs({
  options: {
    peers: { type: "string", default: "wattention,wattention-q8,ort-f32,ort-int8" },
    rates: { type: "string", default: "1,4,6" },
    lengths: { type: "string", default: "16,128" },
    rounds: { type: "string", default: "7" },
    warmup: { type: "string", default: "3000" },
    chromium: { type: "string" },
    json: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (options.help) {
  console.log(
    "usage: node throttled.mjs [--peers LIST] [--rates 1,4,6] [--lengths 16,128] [--rounds 7] [--warmup MS] [--chromium FILE] [--json FILE]",
  );
  process.exit(0);
}
const browserFile = [options.chromium, process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/google-chrome"].find(
  (path) => path && existsSync(path),
);
const obstacles = [
  ...missing().map((path) => `${path} is absent`),
  ...["playwright-core", "onnxruntime-web"].map(installed).filter((why) => why !== true),
  ...(browserFile ? [] : ["there is no Chromium (apt-get install chromium, or --chromium FILE)"]),
];
if (obstacles.length) {
  console.log(`throttled skipped: ${obstacles.join("; ")}`);
  process.exit(0);
}
/** What a page asks for, by where it stands. */
const places = {
  "/model/": `${minilm.folder}/`,
  "/onnx/": `${repository("../shared/bench")}/`,
  "/ort/": `${repository("bench/node_modules/onnxruntime-web/dist")}/`,
  "/work/": work(""),
};
const types = {
  ".mjs": "text/javascript",
  ".js": "text/javascript",
  ".wasm": "application/wasm",
  ".html": "text/html",
};
const dtypeOf = (word) => /^wattention(?:-(q8-exact|q8|q4))?(-simd)?$/.exec(word);

const folder = await bundled();
const server = createServer(serve);
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const { chromium } = await import("playwright-core");
const browser = await chromium.launch({ executablePath: browserFile, args: ["--no-sandbox"] });
try {
  const page = await browser.newPage();
  page.on("pageerror", (error) => console.error(String(error)));
  await page.goto(`http://127.0.0.1:${server.address().port}/index.html`);
  await page.waitForFunction(() => globalThis.measure);
  const peers = await loaded(page);
  const throttle = await page.context().newCDPSession(page);
  console.log(`${minilm.name} in a page, main thread, one thread: Chromium ${browser.version()}\n`);
  const rows = [];
  for (const rate of options.rates.split(",").map(Number)) {
    await throttle.send("Emulation.setCPUThrottlingRate", { rate });
    for (const length of options.lengths.split(",").map(Number))
      rows.push(...(await measure(page, peers, rate, length)));
  }
  const show = (x) => x.toFixed(1);
  console.log(
    table(
      ["peer", "over", "slowed", "T", "ms", "quartiles", "×", "1 - cosine"],
      rows.map((r) => [
        r.peer,
        r.baseline,
        `${r.rate}×`,
        r.length,
        show(r.ms.median),
        `${show(r.ms.q1)} – ${show(r.ms.q3)}`,
        r.times.median.toFixed(2),
        r.distance.toExponential(1),
      ]),
    ),
  );
  if (options.json) writeFileSync(options.json, `${JSON.stringify({ chromium: browser.version(), rows }, null, 1)}\n`);
} finally {
  await browser.close();
  server.close();
}
process.exit();

async function loaded(page) {
  const peers = [];
  for (const one of await ready(options.peers.split(","))) {
    const [, dtype, simd] = dtypeOf(one.word) ?? [];
    const file = one.files("ids")[0];
    const packed = dtype && file.endsWith(".safetensors") && file !== minilm.weights;
    const load = one.own
      ? {
          source: packed ? `/work/${file.slice(work("").length)}` : "/model/",
          options: { ...(dtype && !packed && { dtype }), ...(simd && { deterministic: true }) },
        }
      : one.word === "ort-f32"
        ? { onnx: "/onnx/minilm-f32.onnx", weights: "/model/model.safetensors" }
        : { onnx: "/onnx/minilm-int8.onnx" };
    const why = await page.evaluate((given) => globalThis.load(given), { word: one.word, ...load });
    if (why) console.log(`${one.name} skipped: ${why}`);
    else peers.push(one);
  }
  return peers;
}

async function measure(page, peers, rate, length) {
  const pace = { rounds: Number(options.rounds), turn: 50, warmup: Number(options.warmup) };
  const { samples, vectors } = await page.evaluate(
    ([ids, given]) => globalThis.measure(ids, given),
    [[...textOfLength(length)], pace],
  );
  const exact = Math.max(
    0,
    peers.findIndex((one) => one.exact),
  );
  return peers.map((one, p) => {
    const base = peers.indexOf(baselineOf(one, peers));
    return {
      rate,
      length,
      word: one.word,
      peer: one.name,
      baseline: peers[base].word,
      ms: quartiles(samples[p]),
      times: quartiles(samples[p].map((ms, round) => samples[base][round] / ms)),
      distance: cosineDistance(vectors[p], vectors[exact]),
      rounds: samples[p],
    };
  });
}

/** The page and what it imports, as a bundler leaves it. */
async function bundled() {
  const { build } = await import("esbuild");
  const outdir = work("page");
  await build({
    entryPoints: [repository("bench/page.mjs")],
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "browser",
    outdir,
    logLevel: "error",
    alias: { "#wattention": repository("dist/host/browser.js") },
  });
  writeFileSync(`${outdir}/index.html`, `<!doctype html><script type="module" src="/page.js"></script>`);
  return outdir;
}

function serve({ url }, response) {
  const path = new URL(url, "http://localhost").pathname;
  const prefix = Object.keys(places).find((start) => path.startsWith(start));
  const file = prefix ? places[prefix] + path.slice(prefix.length) : folder + path;
  if (path.includes("..") || !existsSync(file) || !statSync(file).isFile()) return response.writeHead(404).end();
  response.writeHead(200, {
    "content-type": types[extname(file)] ?? "application/octet-stream",
    "content-length": statSync(file).size,
  });
  createReadStream(file).pipe(response);
}
