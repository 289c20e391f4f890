/**
 * Speculative decoding: a small model drafts some tokens, one run of the large one reads all of them, and those that it would have made
 * stay (arXiv:2211.17192). Greedy search gives the tokens that it gives without a draft; sampling draws from the same distribution.
 */

import { UnsupportedOptionError } from "../errors.ts";
import type { Value } from "../graph/graph.ts";
import { positionsOf } from "../runtime/batch.ts";
import { type Begun, ends, type Made, processed } from "./begun.ts";
import { Decoding, type Row } from "./decoding.ts";
import type { Assistant } from "./options.ts";
import { pick, uniform } from "./random.ts";
import { argmax, logSumExp, weightsOf } from "./scores.ts";

/** What random numbers of a token are for; 0 is what sampling without a draft uses. */
const DRAW = { draft: 2, accept: 3, again: 4 };

/** A sequence, and what its draft makes of it. */
interface Pair {
  readonly row: Row;
  readonly draft: Row;
  /** All tokens that count. */
  readonly text: number[];
  /** Tokens of its prompt, padding included. */
  readonly prompt: number;
  drafted: { readonly id: number; readonly weights: Float64Array | undefined }[];
}

/** As `tokens` of loop.ts. @throws UnsupportedOptionError where the models cannot go together */
export async function* assisted(begun: Begun, logprobs: boolean): AsyncGenerator<Made, void, undefined> {
  const { decoding, settings, max_length } = begun;
  const { do_sample, seed, num_return_sequences, num_assistant_tokens, signal } = settings;
  const { prompt } = decoding;
  // A caller of plain JavaScript may give anything.
  const assistant = settings.assistant_model as Assistant;
  if (prompt.more || assistant.prompt || !assistant.session?.layout.outputs.next_logits)
    throw new UnsupportedOptionError("assistant_model", assistant.config?.model_type, ["decoders, for decoders"]);
  if (num_return_sequences > 1)
    throw new UnsupportedOptionError("num_return_sequences with assistant_model", num_return_sequences, [1]);
  const size = (decoding.session.layout.outputs.next_logits as Value).cols;
  const most = positionsOf(assistant.rules);
  const room = decoding.rows.map((row) => max_length[row.source] - row.ids.length);
  // A prompt that the draft has no positions for goes on without one.
  const sequences = prompt.sequences.map((s) => (s.reads.length > most ? { ...s, reads: [] } : s));
  const drafting = await Decoding.open(assistant.session, assistant.rules, { sequences }, { room, signal });
  try {
    let live = decoding.rows.flatMap((row, i): Pair[] => {
      const text = [...prompt.sequences[row.source].reads];
      const pair = { row, draft: drafting.rows[i], text, prompt: row.ids.length, drafted: [] };
      return row.ids.length < max_length[row.source] ? [pair] : [];
    });
    for (let first = true; live.length; first = false) {
      // The first run reads the prompt, of which all logits but the last would be for nothing.
      if (!first) await draft(begun, drafting, live, Math.min(num_assistant_tokens, most));
      const all = live.some((p) => p.drafted.length);
      for (const { row, drafted } of live) row.next.push(...drafted.map((d) => d.id));
      const logits = await decoding.step(
        live.map((p) => p.row),
        signal,
        all ? "logits" : "next_logits",
      );
      const next: Pair[] = [];
      for (const [i, pair] of live.entries()) {
        const { row, text, drafted } = pair;
        const from = logits[i].length - (drafted.length + 1) * size;
        for (let j = 0; ; j++) {
          const raw = logits[i].subarray(from + j * size, from + (j + 1) * size);
          const sum = logprobs ? logSumExp(raw) : 0;
          const scores = await processed(begun, row.source, row.ids, logprobs ? raw.slice() : raw);
          const token = row.ids.length - pair.prompt;
          const own = (draw?: number) => uniform(seed, row.copy, token, draw);
          const id = do_sample ? drawn(scores, drafted[j], own) : argmax(scores);
          row.ids.push(id);
          text.push(id);
          const done = ends(begun, row.source, row.ids);
          const over = done || drafted[j]?.id !== id;
          if (over) {
            // The last token is still to be read; what was read behind it is no part of the text.
            row.next = [id];
            await decoding.rewind(row, text.length - 1);
            if (done) decoding.drop(row);
            else next.push(pair);
          }
          yield { row, id, logprob: raw[id] - sum, done };
          if (over) break;
        }
      }
      live = next;
    }
  } finally {
    drafting.dispose();
  }
}

/** Drafts up to `count` tokens for each. */
async function draft(begun: Begun, drafting: Decoding, pairs: readonly Pair[], count: number): Promise<void> {
  const { decoding, settings, max_length } = begun;
  const { do_sample, seed, eos_token_id } = settings;
  const most = positionsOf(drafting.rules);
  const counts = new Map<Pair, number>();
  // Where tokens turn anew beyond a length, a run ends there: it may not read what is then rejected in another way.
  const { original = 0, again } = decoding.rules.rotations ?? {};
  const alike = (length: number) => (again && length <= original ? original : Number.POSITIVE_INFINITY);
  for (const pair of pairs) {
    const { row, draft, text } = pair;
    // So many that one run takes them, and a last token is left to be made from it; none where the past must be read again.
    const last = max_length[row.source] - row.ids.length - 1;
    const fits = row.next.length > 1 ? 0 : Math.min(count, last, most - text.length, alike(text.length) - text.length);
    counts.set(pair, fits > 0 ? Math.min(fits, (await decoding.room(row, fits + 1)) - 1) : 0);
    pair.drafted = [];
    let same = 0;
    while (same < text.length - 1 && draft.sequence.ids[same] === text[same]) same++;
    draft.past = same;
    draft.next = text.slice(same);
  }
  for (let going = pairs; ; ) {
    going = going.filter((p) => p.drafted.length < counts.get(p)!);
    if (!going.length) return;
    const logits = await drafting.step(going.map((p) => p.draft));
    const next: Pair[] = [];
    for (const [i, pair] of going.entries()) {
      const { row, draft, drafted } = pair;
      const ids = [...row.ids, ...drafted.map((d) => d.id)];
      const scores = new Float32Array(begun.decoding.rules.sizes.input_ids).fill(Number.NEGATIVE_INFINITY);
      scores.set(logits[i].subarray(0, scores.length));
      for (const change of begun.processors[row.source]) await change(ids, scores);
      const best = argmax(scores);
      if (best < 0) continue; // nothing that it may propose
      const weights = do_sample ? weightsOf(scores) : undefined;
      const id = weights ? pick(weights, uniform(seed, row.copy, ids.length - pair.prompt, DRAW.draft)) : best;
      drafted.push({ id, weights });
      draft.next = [id];
      if (!eos_token_id.includes(id)) next.push(pair);
    }
    going = next;
  }
}

/** The drafted token as often as the large model would have it, else another, so that each comes as often as it would without a draft. */
function drawn(scores: Float32Array, drafted: Pair["drafted"][number] | undefined, own: (draw?: number) => number) {
  const p = weightsOf(scores);
  if (!drafted?.weights) return pick(p, own());
  const total = (x: Float64Array) => x.reduce((a, b) => a + b, 0);
  const [sum, q] = [total(p), drafted.weights];
  const other = total(q);
  const { id } = drafted;
  if ((own(DRAW.accept) * q[id]) / other < p[id] / sum) return id;
  const rest = p.map((w, i) => Math.max(0, w / sum - q[i] / other));
  return pick(total(rest) > 0 ? rest : p, own(DRAW.again));
}
