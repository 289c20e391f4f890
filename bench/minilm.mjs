/**
 * Real all-MiniLM-L6-v2, one thread: wattention and its peers in one run. See README.md for what is measured and how to read it.
 * Exits with 1 when an f32 peer's numbers are not those of PyTorch, or a dtype of ours is off by more than it promises; times never fail a run.
 */
import { writeFileSync } from "node:fs";
import { cpus, loadavg } from "node:os";
import { parseArgs } from "node:util";
import { quality, toPyTorch } from "./accuracy.mjs";
import { chart } from "./chart.mjs";
import { measureLengths, warmUp } from "./lengths.mjs";
import { minilm, missing } from "./material.mjs";
import { names, ready } from "./peers.mjs";
import { lengthsTable, qualityTable, sizesTable, startsTable } from "./report.mjs";
import { freshProcesses } from "./starts.mjs";

const OWN = "wattention,wattention-q8,wattention-q8-exact,wattention-q4";
const usage = `usage: node minilm.mjs [options]
  --peers LIST     of ${names.join(", ")};
                   ours may be followed by =ENTRY, another build's dist/host/node.js (default ${OWN},ort-f32,ort-int8)
  --baseline LIST  what × is over, by group (default f32=ort-f32,8-bit=ort-int8,4-bit=ort-int8; the first peer in its absence;
                   of fresh processes ids=ort-int8,text=transformers-int8)
  --lengths LIST   tokens (default 16,128,512)
  --rounds N       rounds per length (default 15)
  --turn MS        least time of one peer's turn in a round (default 60)
  --warmup MS      each peer's warm-up, per length (default 1500)
  --pairs N        pairs of sentences for the accuracy, 0 for none (default 1100, all)
  --starts N       fresh processes per peer for first result and memory, 0 for none (default 3)
  --sizes          what a page downloads, too (minutes, the first time)
  --quick          ours alone, a third of the rounds, 100 pairs: half a minute
  --json FILE      everything measured, every round
  --svg FILE       a chart of the lengths
`;
const text = (value) => ({ type: "string", ...(value && { default: value }) });
const { values: options } = parseArgs({
  options: {
    peers: text(),
    baseline: text(),
    lengths: text("16,128,512"),
    rounds: text(),
    turn: text(),
    warmup: text(),
    pairs: text(),
    starts: text(),
    json: text(),
    svg: text(),
    sizes: { type: "boolean", default: false },
    quick: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
const quick = { peers: OWN, rounds: "5", turn: "30", warmup: "600", pairs: "100", starts: "1" };
const whole = {
  peers: `${OWN},ort-f32,ort-int8`,
  rounds: "15",
  turn: "60",
  warmup: "1500",
  pairs: "1100",
  starts: "3",
};
const asked = { ...(options.quick ? quick : whole), ...options };
const number = (name) => Number(asked[name]);
const lengths = asked.lengths.split(",").map(Number);
const pace = { rounds: number("rounds"), turn: number("turn"), warmup: number("warmup") };
const counts = { pairs: number("pairs"), starts: number("starts") };
if (options.help || ![...lengths, ...Object.values(pace), ...Object.values(counts)].every(Number.isFinite)) {
  console[options.help ? "log" : "error"](usage);
  process.exit(options.help ? 0 : 2);
}
const absent = missing();
if (absent.length) {
  console.log(`skipped: ${absent.join(", ")} ${absent.length > 1 ? "are" : "is"} absent`);
  process.exit(0);
}

/** An f32 result differs from PyTorch's by rounding only; 1 - cosine of real MiniLM is below 1e-11 then. */
const EXACT = 1e-7;
const notes = [];
const note = (line) => {
  notes.push(line);
  console.log(line);
};
const chosen = Object.fromEntries(
  (asked.baseline ?? "")
    .split(",")
    .filter(Boolean)
    .map((pair) => pair.split(/=(.*)/s)),
);
const all = await ready(asked.peers.split(","), note);
const machine = {
  cpu: cpus()[0].model,
  cores: cpus().length,
  system: `${process.platform} ${process.arch}`,
  node: process.version,
  v8: process.versions.v8,
  load_before: loadavg()[0],
};
console.log(`${minilm.name}, one thread, ids in, mean-pooled last_hidden_state out`);
console.log(`${machine.cpu}, ${machine.cores} cores, ${machine.system}, Node ${machine.node} (V8 ${machine.v8})`);
console.log(`load average at the start ${machine.load_before.toFixed(2)}\n`);

const starts = ["ids", "text"].flatMap((mode) => freshProcesses(all, mode, counts.starts, chosen[mode]));
const peers = await load(all.filter((one) => one.load));
if (!peers.length) process.exit(0);
await warmUp(peers, pace.warmup);
for (const one of peers) one.accuracy = await toPyTorch(one, 24);
const rows = await measureLengths(peers, lengths, pace, chosen);
const scores = counts.pairs ? await quality(peers, counts.pairs) : [];
for (const one of peers) await one.loaded.dispose();
machine.load_after = loadavg()[0];

console.log(`${lengthsTable(rows)}\n`);
console.log(`${qualityTable(peers, scores)}\n`);
if (starts.length) console.log(`${startsTable(starts)}\n`);
const downloads = asked.sizes ? await (await import("./sizes.mjs")).sizes(all) : [];
if (downloads.length) console.log(`${sizesTable(downloads)}\n`);
console.log(`load average at the end ${machine.load_after.toFixed(2)}`);

const summary = peers.map(({ word, name, group, loaded, accuracy }, i) => ({
  word,
  peer: name,
  group,
  version: loaded.version,
  to_pytorch: accuracy,
  quality: scores[i],
}));
const result = {
  date: new Date().toISOString(),
  model: minilm.name,
  machine,
  pace,
  notes,
  peers: summary,
  lengths: rows,
  starts,
  sizes: downloads,
};
if (asked.json) writeFileSync(asked.json, `${JSON.stringify(result, null, 1)}\n`);
if (asked.svg) writeFileSync(asked.svg, chart(result));
const wrong = peers.filter((one) => one.exact && !(one.accuracy.worst <= EXACT));
for (const one of wrong) console.error(`${one.name} does not compute what PyTorch computes`);
const worse = peers.filter((one, i) => one.promise && scores[i] && !(scores[i].cosine >= one.promise));
for (const one of worse) console.error(`${one.name} is further from f32 than the ${one.promise} it promises`);
process.exit(wrong.length || worse.length ? 1 : 0);

/** Those that load, loaded: a build or a library may refuse what it is asked for, and says why. */
async function load(some) {
  const loaded = [];
  for (const one of some) {
    const rival = loaded.find((other) => one.apart && other.apart && other.apart !== one.apart);
    try {
      if (rival) throw new Error(`not in one process with ${rival.name}`);
      one.loaded = await one.load();
      loaded.push(one);
    } catch (error) {
      note(`${one.name} skipped: ${error.message}`);
    }
  }
  return loaded;
}
