/**
 * Real all-MiniLM-L6-v2, batch 1, one thread: wattention and its peers in one run. See README.md for what is measured and how to read it.
 * Exits with 1 when a peer's numbers are not those of PyTorch; times never fail a run.
 */
import { execFileSync } from "node:child_process";
import { writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { minilm, missing, pytorch, textOfLength } from "./material.mjs";
import { cosineDistance, interleave, quantile, quartiles, table, turn } from "./measure.mjs";
import { peer } from "./peers.mjs";

const usage = `usage: node minilm.mjs [options]
  --peers LIST     of wattention, wattention=ENTRY, ort-f32, ort-int8; ratios are over the first
                   (default wattention,ort-f32)
  --lengths LIST   tokens (default 16,128,512)
  --rounds N       rounds per length (default 15)
  --turn MS        least time of one peer's turn in a round (default 60)
  --warmup MS      each peer's warm-up, per length (default 1500)
  --starts N       fresh processes per peer for first result and memory, 0 for none (default 3)
  --json FILE      everything measured, every round
`;
const { values: options } = parseArgs({
  options: {
    peers: { type: "string", default: "wattention,ort-f32" },
    lengths: { type: "string", default: "16,128,512" },
    rounds: { type: "string", default: "15" },
    turn: { type: "string", default: "60" },
    warmup: { type: "string", default: "1500" },
    starts: { type: "string", default: "3" },
    json: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (options.help) {
  console.log(usage);
  process.exit(0);
}
const absent = missing();
if (absent.length) {
  console.log(`skipped: ${absent.join(", ")} ${absent.length > 1 ? "are" : "is"} absent`);
  process.exit(0);
}

/** An f32 result differs from PyTorch's by rounding only; 1 - cosine of real MiniLM is below 1e-11 then. */
const EXACT = 1e-7;
const lengths = options.lengths.split(",").map(Number);
const pace = { rounds: Number(options.rounds), turn: Number(options.turn), warmup: Number(options.warmup) };
if (![...lengths, ...Object.values(pace), Number(options.starts)].every(Number.isFinite)) {
  console.error(usage);
  process.exit(2);
}
const peers = [];
for (const word of options.peers.split(",")) {
  const one = peer(word);
  const ready = one.why_not();
  if (ready === true) peers.push(one);
  else console.log(`${one.name} skipped: ${ready}`);
}
if (!peers.length) process.exit(0);

const machine = {
  cpu: cpus()[0].model,
  cores: cpus().length,
  system: `${process.platform} ${process.arch}`,
  node: process.version,
  v8: process.versions.v8,
  load_before: loadavg()[0],
};
console.log(`${minilm.name}, batch 1, one thread, ids in, mean-pooled last_hidden_state out`);
console.log(`${machine.cpu}, ${machine.cores} cores, ${machine.system}, Node ${machine.node} (V8 ${machine.v8})`);
console.log(`load average at the start ${machine.load_before.toFixed(2)}\n`);

const starts = freshProcesses(Number(options.starts));
for (const one of peers) one.loaded = await one.load();
const accuracy = await compareWithPyTorch();
const rows = [];
for (const length of lengths) rows.push(...(await measure(length)));
for (const one of peers) await one.loaded.dispose();
machine.load_after = loadavg()[0];

const show = (x, digits) => x.toFixed(digits);
const span = ({ q1, q3 }, digits) => `${show(q1, digits)} – ${show(q3, digits)}`;
console.log(
  table(
    ["T", "peer", "ms", "quartiles", "ratio", "quartiles", "cpu ms", "ratio", "1 - cosine"],
    rows.map((r) => [
      r.length,
      r.peer,
      show(r.ms.median, 2),
      span(r.ms, 2),
      `${show(r.ratio.median, 2)}x`,
      span(r.ratio, 2),
      show(r.cpu.median, 2),
      `${show(r.ratio_cpu.median, 2)}x`,
      r.distance.toExponential(1),
    ]),
  ),
);
console.log(
  `\nratio: the peer's time over that of ${peers[0].name}, by round; cpu: processor time; 1 - cosine: to its vector\n`,
);
console.log(
  table(
    ["peer", "version", "1 - cosine to PyTorch, worst", "first result ms", "cpu ms", "RSS MB", "peak MB"],
    peers.map((one, i) => [
      one.name,
      one.loaded.version,
      accuracy[i].worst.toExponential(1),
      ...["first_ms", "cpu_ms", "rss", "peak"].map((key) =>
        starts[i].length
          ? show(
              quantile(
                starts[i].map((s) => s[key]),
                0.5,
              ) / (key.endsWith("ms") ? 1 : 1e6),
              0,
            )
          : "-",
      ),
    ]),
  ),
);
console.log(`\n${accuracy[0].texts} reference texts; fresh processes, T = 16, MB over a bare Node`);
console.log(`load average at the end ${machine.load_after.toFixed(2)}`);

if (options.json) {
  const summary = peers.map((one, i) => ({
    peer: one.name,
    version: one.loaded.version,
    ...accuracy[i],
    starts: starts[i],
  }));
  const all = { date: new Date().toISOString(), model: minilm.name, machine, pace, peers: summary, rows };
  writeFileSync(options.json, `${JSON.stringify(all, null, 1)}\n`);
}
const wrong = peers.filter((one, i) => one.exact && !(accuracy[i].worst <= EXACT));
for (const one of wrong) console.error(`${one.name} does not compute what PyTorch computes`);
process.exitCode = wrong.length ? 1 : 0;

/** starts[peer][i]. One start each goes unrecorded: it brings the files into the page cache. */
function freshProcesses(count) {
  const script = fileURLToPath(new URL("start.mjs", import.meta.url));
  const start = (one) =>
    JSON.parse(
      execFileSync(process.execPath, [script, one.word, "16"], {
        encoding: "utf8",
        stdio: ["ignore", "pipe", "inherit"],
      }),
    );
  if (count) for (const one of peers) start(one);
  const all = peers.map(() => []);
  for (let i = 0; i < count; i++) for (const [p, one] of peers.entries()) all[p].push(start(one));
  return all;
}

/** Also the warm-up at short calls: V8 puts optimised WebAssembly in only between calls, so long calls alone would take long to warm. */
async function compareWithPyTorch() {
  const texts = pytorch(24);
  const short = textOfLength(16);
  const result = [];
  for (const { loaded } of peers) {
    await turn(() => loaded.run(short), pace.warmup);
    let worst = 0;
    for (const { ids, embedding } of texts) worst = Math.max(worst, cosineDistance(await loaded.run(ids), embedding));
    result.push({ texts: texts.length, worst });
  }
  return result;
}

async function measure(length) {
  const ids = textOfLength(length);
  const samples = await interleave(
    peers.map(
      ({ loaded }) =>
        () =>
          loaded.run(ids),
    ),
    pace,
  );
  const reference = await peers[0].loaded.run(ids);
  const found = [];
  for (const [p, one] of peers.entries())
    found.push({
      length,
      peer: one.name,
      ms: quartiles(samples[p].map((s) => s.ms)),
      cpu: quartiles(samples[p].map((s) => s.cpu)),
      ratio: quartiles(samples[p].map((s, round) => s.ms / samples[0][round].ms)),
      ratio_cpu: quartiles(samples[p].map((s, round) => s.cpu / samples[0][round].cpu)),
      distance: cosineDistance(await one.loaded.run(ids), reference),
      rounds: samples[p],
    });
  return found;
}
