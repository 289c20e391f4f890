/** First results in fresh processes: time from the first import, and memory over a bare Node. */
import { execFileSync } from "node:child_process";
import { statSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { quartiles } from "./measure.mjs";

const script = fileURLToPath(new URL("start.mjs", import.meta.url));
const start = (one, mode) =>
  JSON.parse(
    execFileSync(process.execPath, [script, one.word, mode], {
      encoding: "utf8",
      stdio: ["ignore", "pipe", "inherit"],
    }),
  );

/** Whom each mode compares everybody with. The shipped model's peer is what a user of transformers.js writes without thinking. */
const BASELINES = { ids: "ort-int8", text: "transformers-int8" };

/**
 * Processes take turns. One start each goes unrecorded: it brings the files into the page cache.
 * @param mode "ids" or "text" @param chosen the word of the peer that × is over @returns a row a peer, medians and quartiles over `count` processes
 */
export function freshProcesses(peers, mode, count, chosen = BASELINES[mode]) {
  const able = peers.filter((one) => (mode === "ids" ? one.load : one.loadText));
  if (!count || !able.length) return [];
  for (const one of able) start(one, mode);
  const all = able.map(() => []);
  for (let i = 0; i < count; i++) for (const [p, one] of able.entries()) all[p].push(start(one, mode));
  const baseline = Math.max(
    0,
    able.findIndex((one) => one.word === chosen),
  );
  return able.map((one, p) => ({
    mode,
    word: one.word,
    peer: one.name,
    baseline: able[baseline].word,
    ...Object.fromEntries(
      ["first_ms", "cpu_ms", "rss", "peak"].map((key) => [key, quartiles(all[p].map((s) => s[key]))]),
    ),
    times: quartiles(all[p].map((s, i) => all[baseline][i].first_ms / s.first_ms)),
    model_bytes: one.files(mode).reduce((sum, path) => sum + statSync(path).size, 0),
    starts: all[p],
  }));
}
