/**
 * Texts per second: sentences of mixed lengths, as one batch, text in, normalised vectors out. `node batch.mjs --peers LIST [--json FILE]`.
 * A process of its own, since transformers.js chooses its runtime once in a process.
 */
import { writeFileSync } from "node:fs";
import { parseArgs } from "node:util";
import { missing, sentences } from "./material.mjs";
import { cosine, interleave, quartiles, table, timesAsFast } from "./measure.mjs";
import { ready } from "./peers.mjs";

const { values: options } = parseArgs({
  options: {
    peers: { type: "string", default: "transformers-int8,transformers-f32,wattention,wattention-q8" },
    texts: { type: "string", default: "64" },
    rounds: { type: "string", default: "9" },
    warmup: { type: "string", default: "3000" },
    json: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (options.help) {
  console.log(
    "usage: node batch.mjs [--peers LIST] [--texts 64] [--rounds 9] [--warmup MS] [--json FILE]; × is over the best transformers.js",
  );
  process.exit(0);
}
if (missing().length) {
  console.log(`skipped: ${missing().join(", ")} absent`);
  process.exit(0);
}
const texts = sentences(Number(options.texts));
const peers = (await ready(options.peers.split(","))).filter((one) => one.loadText);
for (const one of peers) one.loaded = await one.loadText();
const samples = await interleave(
  peers.map((one) => () => one.loaded.embed(texts)),
  { rounds: Number(options.rounds), turn: 0, warmup: Number(options.warmup) },
);
const median = (p) => quartiles(samples[p].map((s) => s.ms)).median;
// Its best dtype: the fastest line that is not ours, as measured in this run.
const others = peers.map((_, p) => p).filter((p) => !peers[p].own);
const best = others.sort((a, b) => median(a) - median(b))[0] ?? 0;
const exact = peers.find((one) => one.exact) ?? peers[0];
const reference = await exact.loaded.embed(texts);
const rows = [];
for (const [p, one] of peers.entries()) {
  const ms = quartiles(samples[p].map((s) => s.ms));
  const vectors = await one.loaded.embed(texts);
  const width = vectors.length / texts.length;
  const cosines = texts.map((_, i) =>
    cosine(vectors.subarray(i * width, (i + 1) * width), reference.subarray(i * width, (i + 1) * width)),
  );
  rows.push({
    word: one.word,
    peer: one.name,
    version: one.loaded.version,
    baseline: peers[best].word,
    texts: texts.length,
    ms,
    per_second: (1e3 * texts.length) / ms.median,
    times: timesAsFast(samples[best], samples[p], "ms"),
    times_cpu: timesAsFast(samples[best], samples[p], "cpu"),
    cosine: cosines.reduce((a, b) => a + b, 0) / cosines.length,
    rounds: samples[p],
  });
}
console.log(`${texts.length} sentences as one batch, × over ${peers[best].name}\n`);
console.log(
  table(
    ["peer", "version", "texts/s", "ms", "quartiles", "×", "× cpu", "cosine"],
    rows.map((r) => [
      r.peer,
      r.version,
      r.per_second.toFixed(0),
      r.ms.median.toFixed(1),
      `${r.ms.q1.toFixed(1)} – ${r.ms.q3.toFixed(1)}`,
      r.times.median.toFixed(2),
      r.times_cpu.median.toFixed(2),
      r.cosine.toFixed(4),
    ]),
  ),
);
if (options.json) writeFileSync(options.json, `${JSON.stringify({ node: process.version, rows }, null, 1)}\n`);
process.exit();
