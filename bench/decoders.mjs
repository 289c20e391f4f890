/**
 * Decoders: wattention q8 and wllama (llama.cpp) on Q8_0 of the same weights, in one page of Chromium, one thread each, in turn: a prompt, then
 * tokens one at a time. Needs a Chromium and a Python with the `gguf` package (PYTHON). Says why where it skips.
 */
import { execFileSync } from "node:child_process";
import { createReadStream, existsSync, mkdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname } from "node:path";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { llama } from "./llama.mjs";
import { installed, repository, stories, versionOf, work } from "./material.mjs";
import { quartiles, table, turn } from "./measure.mjs";
import { readLoop } from "./peak.mjs";

const { values: options } = parseArgs({
  options: {
    models: { type: "string", default: "stories260K,llama-110m" },
    prompt: { type: "string", default: "512" },
    tokens: { type: "string", default: "128" },
    rounds: { type: "string", default: "5" },
    dtype: { type: "string", default: "q8" },
    chromium: { type: "string" },
    json: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (options.help) {
  console.log(
    "usage: node decoders.mjs [--models LIST] [--prompt 512] [--tokens 128] [--rounds 5] [--dtype q8] [--chromium FILE] [--json FILE]",
  );
  process.exit(0);
}
const python = process.env.PYTHON ?? "python3";
const browserFile = [options.chromium, process.env.CHROMIUM, "/usr/bin/chromium", "/usr/bin/google-chrome"].find(
  (path) => path && existsSync(path),
);
const wllama = repository("bench/node_modules/@wllama/wllama/esm/wasm/wllama.wasm");
const obstacles = [
  ...["playwright-core"].map(installed).filter((why) => why !== true),
  ...(existsSync(wllama) ? [] : ["@wllama/wllama is not installed: run `npm ci` in bench/"]),
  ...(browserFile ? [] : ["there is no Chromium (apt-get install chromium, or --chromium FILE)"]),
  ...(hasGguf() ? [] : [`${python} has no gguf (pip install gguf; PYTHON names another)`]),
];
if (obstacles.length) {
  console.log(`decoders skipped: ${obstacles.join("; ")}`);
  process.exit(0);
}
const { pack } = await import(pathToFileURL(repository("dist/host/node.js")));
const folder = await bundled();
const server = createServer(serve);
await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
const { chromium } = await import("playwright-core");
const rows = [];
let browserVersion;
for (const name of options.models.split(",")) {
  const source = name === "stories260K" ? stories.folder : llama();
  if (existsSync(source)) rows.push(...(await measure(name, source)));
  else console.log(`${name} skipped: ${source} is absent`);
}
server.close();
const show = (x) => (x < 1 ? x.toFixed(3) : x.toFixed(1));
console.log(
  `\nwattention ${options.dtype} and wllama ${versionOf("@wllama/wllama")} Q8_0 in a page of Chromium ${browserVersion}, one thread each\n`,
);
console.log(
  table(
    ["model", "what", "ours ms", "wllama ms", "×", "quartiles", "of the bandwidth"],
    rows.map((r) => [
      r.model,
      r.what,
      show(r.ours.median),
      show(r.peer.median),
      r.times.median.toFixed(2),
      `${r.times.q1.toFixed(2)} – ${r.times.q3.toFixed(2)}`,
      r.share ? r.share.toFixed(2) : "",
    ]),
  ),
);
console.log(
  "×: how many times as fast as wllama, by round; bandwidth: weights' bytes by what a plain SIMD sum over as many takes (in Node, idle)",
);
if (options.json)
  writeFileSync(
    options.json,
    `${JSON.stringify({ date: new Date().toISOString(), chromium: browserVersion, wllama: versionOf("@wllama/wllama"), rows }, null, 1)}\n`,
  );
process.exit();

async function measure(name, source) {
  mkdirSync(work("gguf"), { recursive: true });
  const gguf = work(`gguf/${name}.gguf`);
  const packed = work(`gguf/${name}-${options.dtype}.safetensors`);
  if (!existsSync(gguf)) execFileSync(python, [repository("bench/to_gguf.py"), source, gguf], { stdio: "inherit" });
  writeFileSync(packed, await pack(source, { dtype: options.dtype }));
  const { max_position_embeddings } = JSON.parse(readFileSync(`${source}/config.json`, "utf8"));
  const tokens = Number(options.tokens);
  const prompt = Math.min(Number(options.prompt), max_position_embeddings - tokens);
  // Ids that both tokenizers have by name.
  const ids = Array.from({ length: prompt }, (_, i) => 259 + ((i * 37) % 253));
  const browser = await chromium.launch({ executablePath: browserFile, args: ["--no-sandbox"] });
  try {
    browserVersion = browser.version();
    const page = await browser.newPage();
    page.on("pageerror", (error) => console.error(String(error)));
    page.on("crash", () => console.error("the page crashed"));
    await page.goto(`http://127.0.0.1:${server.address().port}/index.html`);
    await page.waitForFunction(() => globalThis.measure);
    const given = {
      source: `/work/gguf/${name}-${options.dtype}.safetensors`,
      gguf: `/work/gguf/${name}.gguf`,
      context: prompt + tokens + 32,
    };
    const about = await page.evaluate((g) => globalThis.load(g), given);
    if (about.multithread) throw new Error("wllama has threads");
    const { ours, peer } = await page.evaluate(
      ([i, n, r]) => globalThis.measure(i, n, r),
      [ids, tokens, Number(options.rounds)],
    );
    const bytes = statSync(packed).size;
    const loop = await readLoop(bytes);
    const reads = [];
    for (let i = 0; i < 20; i++) reads.push((await turn(loop.run, 5)).ms);
    return ["prefill", "decode"].map((key) => {
      const [a, b] = [ours, peer].map((all) => all.map((one) => one[key]));
      return {
        model: name,
        what: key === "prefill" ? `prompt of ${prompt}` : `a token of ${tokens}`,
        kind: key,
        ours: quartiles(a),
        peer: quartiles(b),
        times: quartiles(a.map((ms, i) => b[i] / ms)),
        share: key === "decode" ? Math.min(...reads) / Math.min(...a) : undefined,
        samples: { ours: a, peer: b },
      };
    });
  } finally {
    await browser.close();
  }
}

function hasGguf() {
  try {
    execFileSync(python, ["-c", "import gguf"], { stdio: "ignore" });
    return true;
  } catch {
    return false;
  }
}

/** The page and what it imports, as a bundler leaves it. */
async function bundled() {
  const { build } = await import("esbuild");
  const outdir = work("page_llm");
  await build({
    entryPoints: [repository("bench/page_llm.mjs")],
    bundle: true,
    splitting: true,
    format: "esm",
    platform: "browser",
    outdir,
    logLevel: "error",
    alias: { "#wattention": repository("dist/host/browser.js") },
  });
  writeFileSync(`${outdir}/index.html`, `<!doctype html><script type="module" src="/page_llm.js"></script>`);
  return outdir;
}

function serve({ url }, response) {
  const path = new URL(url, "http://localhost").pathname;
  const file = path.startsWith("/work/") ? work(path.slice(6)) : path === "/wllama.wasm" ? wllama : folder + path;
  if (path.includes("..") || !existsSync(file) || !statSync(file).isFile()) return response.writeHead(404).end();
  const types = { ".js": "text/javascript", ".wasm": "application/wasm", ".html": "text/html" };
  response.writeHead(200, {
    "content-type": types[extname(file)] ?? "application/octet-stream",
    "content-length": statSync(file).size,
  });
  createReadStream(file).pipe(response);
}
