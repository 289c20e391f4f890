// `wattention serve` under load on loopback: micro-batching against one text at a time, in interleaved rounds; every answer is checked against
// the vector that the library gives for its text alone.
//   node bench/serve.mjs [--clients 1,8,32,128] [--rounds 5] [--seconds 3] [--words 3,8] [--format base64] [--model PATH --dtype q8]
//   node bench/serve.mjs --minutes 2 --clients 32 [--threads 0]
// batched: as it is started without options. threads: with engines in so many threads. single: one text at a time. plain: a route of one's
// own that calls the library for each request (serve_plain.mjs).
import { spawn } from "node:child_process";
import { once } from "node:events";
import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { createInterface } from "node:readline";
import { text } from "node:stream/consumers";
import { parseArgs } from "node:util";
import { pipeline } from "../dist/host/node.js";

const { values: o } = parseArgs({
  options: {
    clients: { type: "string", default: "1,8,32,128" },
    rounds: { type: "string", default: "5" },
    seconds: { type: "string", default: "3" },
    words: { type: "string", default: "3,8" },
    format: { type: "string", default: "base64" },
    model: { type: "string" },
    dtype: { type: "string" },
    minutes: { type: "string" },
    threads: { type: "string", default: "2" },
  },
});
const root = resolve(import.meta.dirname, "..");

// Texts, no two alike, so that none is computed once for two.
const WORDS = readFileSync(resolve(root, "README.md"), "utf8").match(/[a-z]{3,9}/g);
const [least, most] = o.words.split(",").map(Number);
let seed = 7;
const random = (n) => {
  seed = (seed * 48271) % 2147483647;
  return seed % n;
};
const texts = new Set();
while (texts.size < 1000)
  texts.add(Array.from({ length: least + random(most - least + 1) }, () => WORDS[random(WORDS.length)]).join(" "));

const model = o.model === undefined ? [] : [o.model];
const extract = await pipeline("feature-extraction", o.model, { dtype: o.dtype });
const cases = [];
let tokens = 0;
for (const one of texts) {
  const { data } = await extract(one, { normalize: true, pooling: extract.pools ? undefined : "mean" });
  const expected =
    o.format === "base64" ? `"${Buffer.from(data.buffer).toString("base64")}"` : JSON.stringify(Array.from(data));
  cases.push({ text: one, expected });
  tokens += extract.encode(one).input_ids.length;
}
extract.dispose();

async function start(...options) {
  const args = ["serve", ...model, "--port", "0", "--quiet", "--name", "default-embedder", ...options];
  if (o.dtype) args.push("--dtype", o.dtype);
  const command =
    options[0] === "plain"
      ? [resolve(import.meta.dirname, "serve_plain.mjs"), o.model ?? "", o.dtype ?? ""]
      : [resolve(root, "dist/cli/main.js"), ...args];
  const child = spawn(process.execPath, command, { stdio: ["ignore", "pipe", "inherit"] });
  for await (const line of createInterface({ input: child.stdout })) {
    const { url } = JSON.parse(line);
    if (!url) continue;
    while (!(await fetch(`${url}/health`)).ok) await new Promise((go) => setTimeout(go, 50));
    return { child, url, port: Number(new URL(url).port) };
  }
  throw new Error("the server did not start");
}

/** Seconds of processor time. */
const cpuOf = (pid) => {
  const fields = readFileSync(`/proc/${pid}/stat`, "utf8").split(") ")[1].split(" ");
  return (Number(fields[11]) + Number(fields[12])) / 100;
};

async function load(server, clients, ms, warm = 0) {
  const child = spawn(process.execPath, [resolve(import.meta.dirname, "serve_client.mjs")], {
    stdio: ["pipe", "pipe", "inherit"],
  });
  const before = cpuOf(server.child.pid);
  child.stdin.end(JSON.stringify({ port: server.port, clients, ms, warm, format: o.format, cases }));
  const seen = JSON.parse(await text(child.stdout));
  const served = cpuOf(server.child.pid) - before;
  return { ...seen, rate: seen.right / seen.seconds, served };
}

async function stop({ child }) {
  const closed = once(child, "exit");
  child.kill("SIGTERM");
  const [code] = await closed;
  if (code !== 0) throw new Error(`the server ended with ${code}`);
}

const bad = ({ wrong, lost, refused }) => wrong + lost + Object.values(refused).reduce((a, b) => a + b, 0);
const median = (list) => list.toSorted((a, b) => a - b)[Math.floor(list.length / 2)];
console.log(`${texts.size} texts of ${(tokens / texts.size).toFixed(1)} tokens, ${o.format}, ${process.version}`);

if (o.minutes) {
  const server = await start(...(o.threads === "0" ? [] : ["--threads", o.threads]));
  const clients = Number(o.clients.split(",").at(-1));
  const seen = await load(server, clients, Number(o.minutes) * 60_000);
  await stop(server);
  const { cases: _, ...rest } = seen;
  console.log(`${clients} clients, ${o.minutes} minutes:`, rest);
  process.exitCode = bad(seen) ? 1 : 0;
} else {
  const kinds = {
    batched: [],
    threads: ["--threads", o.threads],
    single: ["--batch-texts", "1"],
    plain: ["plain"],
  };
  if (o.threads === "0") delete kinds.threads;
  const names = Object.keys(kinds);
  const servers = {};
  for (const [kind, options] of Object.entries(kinds)) servers[kind] = await start(...options);
  // All warm: V8 has compiled what it will.
  for (const kind of names) await load(servers[kind], 32, 3000);
  let failed = 0;
  for (const clients of o.clients.split(",").map(Number)) {
    const rounds = Object.fromEntries(names.map((kind) => [kind, []]));
    for (let round = 0; round < Number(o.rounds); round++)
      for (const kind of round % 2 ? names.toReversed() : names) {
        const seen = await load(servers[kind], clients, Number(o.seconds) * 1000, 300);
        rounds[kind].push(seen);
        failed += bad(seen);
      }
    const of = (kind, name) => median(rounds[kind].map((r) => r[name]));
    const cpu = (kind, name) => (1e6 * median(rounds[kind].map((r) => r[name] / r.all))).toFixed(0);
    for (const kind of names) {
      const ratios = rounds.batched.map((r, i) => r.rate / rounds[kind][i].rate);
      const row = [
        `${String(clients).padStart(4)} clients ${kind.padEnd(8)} ${of(kind, "rate").toFixed(0).padStart(6)} texts/s`,
        `p50 ${of(kind, "p50").toFixed(1)} ms  p99 ${of(kind, "p99").toFixed(1)} ms`,
        `processor a text: server ${cpu(kind, "served")} µs, client ${cpu(kind, "cpu")} µs`,
        kind === "batched"
          ? ""
          : `batched is ${median(ratios).toFixed(2)}× (${Math.min(...ratios).toFixed(2)} … ${Math.max(...ratios).toFixed(2)})`,
      ];
      console.log(row.join("   "));
    }
  }
  for (const server of Object.values(servers)) await stop(server);
  console.log(failed ? `${failed} answers were wrong, refused or lost` : "every answer was right");
  process.exitCode = failed ? 1 : 0;
}
