// `wattention serve` of the package as it is installed, on Node 20 and 24, Deno and Bun: it answers, keeps what it acknowledged through a kill, and
// closes. `node tests/hosts/serve.mjs`
import assert from "node:assert/strict";
import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { unpackPackage } from "./package.mjs";

const root = resolve(import.meta.dirname, "../..");
const tool = (name) => join(import.meta.dirname, "node_modules", name);
const hosts = {
  "Node 20": [tool("node-v20/bin/node")],
  "Node 24": [join(root, "node_modules/node/bin/node")],
  // What a server needs and no more: nothing is asked for.
  Deno: [
    tool(".bin/deno"),
    "run",
    "--no-prompt",
    "--node-modules-dir=manual",
    "--allow-net",
    "--allow-env",
    "--allow-sys",
    "--allow-read",
    "--allow-write",
  ],
  Bun: [tool(".bin/bun"), "run"],
};

const MAIN = "node_modules/wattention/dist/cli/main.js";

async function start([command, ...args], folder, ...options) {
  const child = spawn(command, [...args, MAIN, "serve", "--deterministic", "--port", "0", "--quiet", ...options], {
    cwd: folder,
    stdio: ["ignore", "pipe", "pipe"],
  });
  const exited = once(child, "exit");
  let stderr = "";
  child.stderr.on("data", (chunk) => {
    stderr += chunk;
  });
  const url = await new Promise((found, failed) => {
    createInterface({ input: child.stdout }).on("line", (line) => {
      const { event, url } = JSON.parse(line);
      if (event === "listening") found(url);
    });
    exited.then(([code]) => failed(new Error(`ended with ${code}: ${stderr}`)));
  });
  const until = Date.now() + 30_000;
  while ((await fetch(`${url}/health`)).status !== 200) {
    if (Date.now() > until) throw new Error(`never ready: ${stderr}`);
    await new Promise((go) => setTimeout(go, 50));
  }
  const post = async (path, body) => {
    const response = await fetch(url + path, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(body),
    });
    return { status: response.status, headers: response.headers, body: await response.json() };
  };
  const stop = async (signal) => {
    child.kill(signal);
    return (await exited)[0];
  };
  return { url, post, stop };
}

async function check(command, folder, wanted) {
  const index = mkdtempSync(join(tmpdir(), "wattention-serve-"));
  let checks = 0;
  const same = (actual, expected) => {
    assert.deepEqual(actual, expected);
    checks++;
  };
  let server = await start(command, folder, "--index", index);
  try {
    const input = Object.keys(wanted);
    const answers = await Promise.all(input.map((text) => server.post("/v1/embeddings", { input: text })));
    for (const [i, { status, body }] of answers.entries()) {
      same(status, 200);
      same(body.data[0].embedding, wanted[input[i]]); // to the last bit, on every host
    }
    const refused = await server.post("/v1/embeddings", { input: [] });
    same([refused.status, refused.body.error.code], [400, "empty_array"]);
    const metrics = await (await fetch(`${server.url}/metrics`)).text();
    same(/^wattention_batch_texts_count\{model="default-embedder"\} \d+$/m.test(metrics), true);

    // A client that goes away, and a body that is cut short, stop nothing.
    await fetch(`${server.url}/v1/embeddings`, {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify({ input: Array(64).fill("many words ".repeat(60)) }),
      signal: AbortSignal.timeout(10),
    }).catch(() => {});
    same((await server.post("/v1/embeddings", { input: "a" })).status, 200);

    same((await server.post("/v1/indexes/a/documents", { documents: [{ id: "1", text: "cats nap" }] })).status, 200);
    await server.stop("SIGKILL");
    server = await start(command, folder, "--index", index, "--threads", "1");
    const found = await server.post("/v1/indexes/a/search", { query: "cats nap", top_k: 1 });
    same(found.body.results[0].id, "1");

    const under = server.post("/v1/embeddings", { input: Array(20).fill("words ".repeat(100)) });
    await new Promise((go) => setTimeout(go, 30));
    const code = server.stop("SIGTERM");
    same((await under).status, 200);
    same(await code, 0);
    return checks;
  } finally {
    await server.stop("SIGKILL");
    rmSync(index, { recursive: true, force: true });
  }
}

/** @returns rows { name, version, checks, ok, error? } */
export async function run(folder = join(root, "build/hosts-serve")) {
  unpackPackage(folder);
  writeFileSync(join(folder, "package.json"), JSON.stringify({ private: true, type: "module" })); // as an app's
  const { pipeline } = await import(join(folder, "node_modules/wattention/dist/host/node.js"));
  const extract = await pipeline("feature-extraction", undefined, { deterministic: true });
  const wanted = {};
  for (const text of [
    "a cat",
    "how is memory planned",
    "x ".repeat(120),
    ...Array.from({ length: 12 }, (_, i) => `text ${i}`),
  ])
    wanted[text] = Array.from((await extract(text, { normalize: true })).data);
  extract.dispose();

  const rows = [];
  for (const [name, command] of Object.entries(hosts)) {
    const row = { name: `serve on ${name}`, version: "none", checks: 0, ok: true };
    rows.push(row);
    try {
      if (!existsSync(command[0])) throw new Error(`${command[0]} is not there: npm ci --prefix tests/hosts`);
      row.version = execFileSync(command[0], ["--version"], { encoding: "utf8" })
        .split("\n")[0]
        .replace(/^v|^deno /, "");
      row.checks = await check(command, folder, wanted);
    } catch (error) {
      row.ok = false;
      row.error = error.stack ?? String(error);
    }
  }
  return rows;
}

if (import.meta.main ?? process.argv[1] === import.meta.filename) {
  const rows = await run();
  for (const { name, version, checks, ok, error } of rows) {
    console.log(`${ok ? "ok" : "FAILED"} ${name} (${version}): ${checks} checks`);
    if (error) console.log(error);
  }
  process.exitCode = rows.every((row) => row.ok) ? 0 : 1;
}
