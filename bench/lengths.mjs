/** Cost by length: every peer at every length, in interleaved rounds. */
import { textOfLength } from "./material.mjs";
import { cosineDistance, interleave, quartiles, timesAsFast, turn } from "./measure.mjs";

/** The line that each group's ratios are over, where it is among the peers. */
const BASELINES = { f32: "ort-f32", "8-bit": "ort-int8", "4-bit": "ort-int8" };

/** The peer that `one` is compared with. @param chosen `{ group: word }` from the command line */
export function baselineOf(one, peers, chosen = {}) {
  const word = chosen[one.group] ?? BASELINES[one.group];
  return peers.find((p) => p.word === word) ?? peers[0];
}

/** V8 puts optimised WebAssembly in only between calls, so everybody is first warmed by many short calls, for the same time. */
export async function warmUp(peers, ms) {
  const short = textOfLength(16);
  for (const { loaded } of peers) await turn(() => loaded.run(short), ms);
}

/** @returns a row for each length and peer: `{ length, word, peer, ms, cpu, times, times_cpu, baseline, distance, rounds }`. */
export async function measureLengths(peers, lengths, pace, chosen) {
  const rows = [];
  for (const length of lengths) {
    const ids = textOfLength(length);
    const runs = peers.map((one) => () => one.loaded.run(ids));
    const samples = await interleave(runs, pace);
    const reference = await (peers.find((one) => one.exact ?? true) ?? peers[0]).loaded.run(ids); // to the first where none is f32
    for (const [p, one] of peers.entries()) {
      const baseline = baselineOf(one, peers, chosen);
      const base = samples[peers.indexOf(baseline)];
      rows.push({
        length,
        word: one.word,
        peer: one.name,
        group: one.group,
        baseline: baseline.word,
        ms: quartiles(samples[p].map((s) => s.ms)),
        cpu: quartiles(samples[p].map((s) => s.cpu)),
        times: timesAsFast(base, samples[p], "ms"),
        times_cpu: timesAsFast(base, samples[p], "cpu"),
        distance: cosineDistance(await one.loaded.run(ids), reference),
        rounds: samples[p],
      });
    }
  }
  return rows;
}
