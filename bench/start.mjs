/**
 * A fresh process, one peer, one text: `node start.mjs PEER ids|text` prints `{ first_ms, cpu_ms, rss, peak }` as JSON. Time is from before the
 * peer's first import to its first result, by the clock and of processor time (all threads); bytes are over those of the bare process.
 */
import { readFileSync } from "node:fs";
import { textOfLength } from "./material.mjs";
import { peer } from "./peers.mjs";

const TEXT = "A man is playing a large flute and a woman is slicing an onion.";
const [word, mode] = process.argv.slice(2);
const one = peer(word);
const ids = mode === "ids" && textOfLength(16);
const bare = process.memoryUsage.rss();
const start = performance.now();
const cpu = process.cpuUsage();
const loaded = ids ? await one.load() : await one.loadText();
await (ids ? loaded.run(ids) : loaded.embed([TEXT]));
const first_ms = performance.now() - start;
const { user, system } = process.cpuUsage(cpu);
const rss = process.memoryUsage.rss() - bare;
console.log(JSON.stringify({ first_ms, cpu_ms: (user + system) / 1e3, rss, peak: peakOfProcess() - bare }));
// onnxruntime-node's threads would hold the process.
process.exit();

/** Bytes. Not getrusage's maximum: on Linux that one survives exec, so a child would report its parent's. */
function peakOfProcess() {
  try {
    return 1024 * Number(/VmHWM:\s*(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]);
  } catch {
    return 1024 * process.resourceUsage().maxRSS;
  }
}
