/**
 * A fresh process, one peer, one text: `node start.mjs PEER LENGTH` prints `{ first_ms, cpu_ms, rss, peak }` as JSON. Time is from before the
 * peer's first import to its first result, by the clock and of processor time (all threads); bytes are over those of the bare process.
 */
import { readFileSync } from "node:fs";
import { textOfLength } from "./material.mjs";
import { peer } from "./peers.mjs";

const [word, length] = process.argv.slice(2);
const ids = textOfLength(Number(length));
const bare = process.memoryUsage.rss();
const start = performance.now();
const cpu = process.cpuUsage();
const loaded = await peer(word).load();
await loaded.run(ids);
const first_ms = performance.now() - start;
const { user, system } = process.cpuUsage(cpu);
console.log(
  JSON.stringify({
    first_ms,
    cpu_ms: (user + system) / 1e3,
    rss: process.memoryUsage.rss() - bare,
    peak: peakOfProcess() - bare,
  }),
);

/** Bytes. Not getrusage's maximum: on Linux that one survives exec, so a child would report its parent's. */
function peakOfProcess() {
  try {
    return 1024 * Number(/VmHWM:\s*(\d+)/.exec(readFileSync("/proc/self/status", "utf8"))[1]);
  } catch {
    return 1024 * process.resourceUsage().maxRSS;
  }
}
