/** Beam search as transformers 5 does it (GenerationMixin._beam_search), each sequence for itself: what else is in a batch changes nothing. */

import { pow, quickExp } from "../numeric.ts";
import { type Begun, ends, processed } from "./begun.ts";
import type { Row } from "./decoding.ts";
import { pick, uniform } from "./random.ts";
import { logSumExp } from "./scores.ts";

/** A way to go on. */
interface Candidate {
  readonly row: Row;
  readonly id: number;
  /** The sum of the processed log probabilities of all tokens. */
  readonly score: number;
}

interface Ended {
  readonly ids: number[];
  /** With the length penalty. */
  readonly score: number;
}

/** The beams of one sequence. */
interface Search {
  readonly source: number;
  readonly prompt: number;
  running: { readonly row: Row; readonly score: number }[];
  /** Best first. */
  ended: Ended[];
}

export async function beamSearch(begun: Begun): Promise<number[][]> {
  const { decoding, settings, max_length } = begun;
  const searches = decoding.rows.map((row): Search => {
    return { source: row.source, prompt: row.ids.length, running: [{ row, score: 0 }], ended: [] };
  });
  let live = searches.filter(({ source, prompt }) => prompt < max_length[source]);
  for (let step = 0; live.length; step++) {
    const logits = await decoding.step(live.flatMap(({ running }) => running.map(({ row }) => row)));
    let at = 0;
    const next: Search[] = [];
    for (const search of live) {
      const scores = logits.slice(at, at + search.running.length);
      at += search.running.length;
      if (await advance(begun, search, scores, step)) next.push(search);
    }
    live = next;
  }
  return searches.flatMap(({ source, ended }) =>
    ended.length ? ended.slice(0, settings.num_return_sequences).map(({ ids }) => ids) : [decoding.rows[source].ids],
  );
}

/** One token more for each beam. Says whether the search goes on. */
async function advance(begun: Begun, search: Search, logits: Float32Array[], step: number): Promise<boolean> {
  const { decoding, settings, max_length } = begun;
  const { num_beams, length_penalty, early_stopping, eos_token_id, do_sample } = settings;
  const { source, prompt, running } = search;
  for (const [b, { row }] of running.entries()) {
    const sum = logSumExp(logits[b]);
    for (let i = 0; i < logits[b].length; i++) logits[b][i] -= sum;
    await processed(begun, source, row.ids, logits[b]);
  }
  // So many that enough are left if each beam's best ends it.
  const count = Math.max(2, 1 + eos_token_id.length) * num_beams;
  const candidates = do_sample
    ? drawn(search, logits, count, (draw) => uniform(settings.seed, draw, step, 1))
    : best(search, logits, count);

  const open: Candidate[] = [];
  const made = running[0].row.ids.length + 1 - prompt;
  for (const [rank, candidate] of candidates.entries()) {
    const ids = [...candidate.row.ids, candidate.id];
    if (!ends(begun, source, ids)) open.push(candidate);
    else if (rank < num_beams) search.ended.push({ ids, score: candidate.score / pow(made, length_penalty) });
  }
  search.ended = sorted(search.ended).slice(0, num_beams);
  const going = sorted(open).slice(0, num_beams);
  const rows = await decoding.fork(
    running.map(({ row }) => row),
    going.map(({ row }) => row),
  );
  search.running = going.map(({ id, score }, i) => {
    rows[i].ids.push(id);
    rows[i].next = [id];
    return { row: rows[i], score };
  });

  if (!going.length) return false;
  const full = search.ended.length === num_beams;
  if (full && early_stopping === true) return false;
  const longest = early_stopping === "never" && length_penalty > 0 ? max_length[source] - prompt : made;
  return !full || going[0].score / pow(longest, length_penalty) > search.ended[num_beams - 1].score;
}

/** Best first; equals as they were. */
const sorted = <T extends { readonly score: number }>(all: readonly T[]): T[] =>
  [...all].sort((a, b) => b.score - a.score);

/** The `count` best of all tokens of all beams, best first. */
function best({ running }: Search, scores: readonly Float32Array[], count: number): Candidate[] {
  const found: Candidate[] = [];
  for (const [b, { row, score: before }] of running.entries()) {
    const x = scores[b];
    for (let id = 0; id < x.length; id++) {
      const score = before + x[id];
      if (score === Number.NEGATIVE_INFINITY || (found.length === count && !(score > found[count - 1].score))) continue;
      if (found.length === count) found.pop();
      let at = found.length;
      while (at && found[at - 1].score < score) at--;
      found.splice(at, 0, { row, id, score });
    }
  }
  return found;
}

/** `count` of them, each drawn in proportion to its probability among those that are left. */
function drawn(
  { running }: Search,
  scores: readonly Float32Array[],
  count: number,
  random: (draw: number) => number,
): Candidate[] {
  const all = running.flatMap(({ row, score: before }, b) =>
    Array.from(scores[b], (x, id): Candidate => ({ row, id, score: before + x })).filter((c) => c.score > -Infinity),
  );
  const most = all.reduce((m, { score }) => Math.max(m, score), Number.NEGATIVE_INFINITY);
  const weights = Float64Array.from(all, ({ score }) => quickExp(score - most));
  const found: Candidate[] = [];
  while (found.length < Math.min(count, all.length)) {
    const i = pick(weights, random(found.length));
    if (!weights[i]) break; // what is left has no probability to speak of
    weights[i] = 0;
    found.push(all[i]);
  }
  return found;
}
