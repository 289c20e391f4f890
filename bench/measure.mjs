/**
 * Timing on a noisy machine: peers take turns (A B A B …) within one process, each after the same warm-up time, and what is compared
 * is the ratio within a round, so that a clock that drifts or a neighbour that wakes up hits both sides alike.
 */

/** The q-quantile of numbers, linear between ranks. */
export function quantile(numbers, q) {
  const sorted = Float64Array.from(numbers).sort();
  const at = (sorted.length - 1) * q;
  const low = Math.floor(at);
  return sorted[low] + (sorted[Math.min(low + 1, sorted.length - 1)] - sorted[low]) * (at - low);
}

export const quartiles = (numbers) => ({
  q1: quantile(numbers, 0.25),
  median: quantile(numbers, 0.5),
  q3: quantile(numbers, 0.75),
});

/** Microseconds of processor time, V8's helper threads included; NaN in a page. Not threadCpuUsage: that one moves in steps of a tick, 4 ms. */
const processorTime = () => {
  if (!globalThis.process) return Number.NaN;
  const { user, system } = process.cpuUsage();
  return user + system;
};

/** Calls `f` until `ms` have passed, at least once. Returns milliseconds per call, by the clock and of processor time. */
export async function turn(f, ms) {
  const cpu = processorTime();
  const start = performance.now();
  let calls = 0;
  let now = start;
  do {
    await f();
    calls++;
    now = performance.now();
  } while (now - start < ms);
  return { ms: (now - start) / calls, cpu: (processorTime() - cpu) / 1e3 / calls };
}

/**
 * Rounds of one turn each, in the order of `runs`.
 * @returns what `turn` says, as samples[run][round].
 */
export async function interleave(runs, { rounds, turn: turnMs, warmup }) {
  for (const run of runs) await turn(run, warmup);
  const samples = runs.map(() => []);
  for (let round = 0; round < rounds; round++)
    for (const [i, run] of runs.entries()) samples[i].push(await turn(run, turnMs));
  return samples;
}

/** How many times as fast as the baseline a peer is: the quotient of each round's times, then its quartiles over the rounds. */
export const timesAsFast = (baseline, samples, key) =>
  quartiles(samples.map((s, round) => baseline[round][key] / s[key]));

/** Cosine of two vectors, in double precision; NaN where they differ in length. */
export function cosine(a, b) {
  let ab = 0;
  let aa = 0;
  let bb = 0;
  for (let i = 0; i < a.length; i++) {
    ab += a[i] * b[i];
    aa += a[i] * a[i];
    bb += b[i] * b[i];
  }
  return a.length === b.length ? ab / Math.sqrt(aa * bb) : Number.NaN;
}

/** 1 - cosine: 0 for equal directions. */
export const cosineDistance = (a, b) => Math.max(0, 1 - cosine(a, b));

/** Rows of cells as aligned text; the first `left` columns are flushed left, the others right. */
export function table(head, rows, left = 2) {
  const all = [head, ...rows].map((row) => row.map(String));
  const widths = head.map((_, c) => Math.max(...all.map((row) => row[c].length)));
  const line = (row) =>
    row
      .map((cell, c) => (c < left ? cell.padEnd(widths[c]) : cell.padStart(widths[c])))
      .join("  ")
      .trimEnd();
  return [line(all[0]), widths.map((w) => "-".repeat(w)).join("  "), ...all.slice(1).map(line)].join("\n");
}
