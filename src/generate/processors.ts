/**
 * What changes scores by the tokens before them: transformers' processors (generation/logits_process.py), in its order, and
 * OpenAI's presence and frequency penalties behind the repetition penalty.
 */

import { pow } from "../numeric.ts";
import type { LogitsProcessor, Settings } from "./options.ts";
import { normalize, warpersOf } from "./warpers.ts";

const NEVER = Number.NEGATIVE_INFINITY;

/** What processors know of a sequence. */
export interface About {
  /** Tokens of its prompt, padding included. */
  readonly prompt: number;
  /** How many of the first are padding. */
  readonly padding: number;
  readonly max_length: number;
  readonly encoder_ids?: readonly number[];
}

export function processorsOf(s: Settings, about: About): LogitsProcessor[] {
  const { prompt, padding, max_length, encoder_ids } = about;
  const eos = s.eos_token_id;
  const all: LogitsProcessor[] = [];
  if (s.sequence_bias.length) all.push(bias(s.sequence_bias));
  if (s.encoder_repetition_penalty !== 1 && encoder_ids) {
    const penalty = 1 / s.encoder_repetition_penalty;
    all.push((_, x) => penalize(encoder_ids, x, penalty));
  }
  if (s.repetition_penalty !== 1) all.push((ids, x) => penalize(ids.slice(padding), x, s.repetition_penalty));
  const { presence_penalty, frequency_penalty } = s;
  if (presence_penalty || frequency_penalty)
    all.push((ids, x) => {
      for (const [id, n] of counts(ids.slice(prompt))) x[id] -= presence_penalty + n * frequency_penalty;
    });
  const n = s.no_repeat_ngram_size;
  if (n) all.push((ids, x) => noRepeat(ids, ids, n, x));
  const m = s.encoder_no_repeat_ngram_size;
  if (m && encoder_ids) all.push((ids, x) => noRepeat(encoder_ids, ids, m, x));
  const bad = s.bad_words_ids.filter((word) => !(word.length === 1 && eos.includes(word[0])));
  if (bad.length) all.push(bias(bad.map((word) => [word, NEVER])));
  const least = s.min_length(prompt);
  if (least > prompt)
    all.push((ids, x) => {
      if (ids.length < least) set(x, eos, NEVER);
    });
  const { forced_bos_token_id: first } = s;
  if (first !== undefined)
    all.push((ids, x) => {
      if (ids.length === 1) force(x, [first]);
    });
  const last = s.forced_eos_token_id;
  if (last.length)
    all.push((ids, x) => {
      if (ids.length === max_length - 1) force(x, last);
    });
  if (s.remove_invalid_values) all.push((_, x) => removeInvalid(x));
  const [from, factor] = s.exponential_decay_length_penalty ?? [];
  if (factor !== undefined) all.push((ids, x) => decay(x, eos, ids.length - prompt - from!, factor));
  if (s.suppress_tokens.length) all.push((_, x) => set(x, s.suppress_tokens, NEVER));
  const begin = prompt > 1 || first === undefined ? prompt : prompt + 1;
  if (s.begin_suppress_tokens.length)
    all.push((ids, x) => {
      if (ids.length === begin) set(x, s.begin_suppress_tokens, NEVER);
    });
  if (s.logits_processor) all.push(s.logits_processor);
  for (const warp of warpersOf(s)) all.push((_, x) => warp(x));
  if (s.renormalize_logits) all.push((_, x) => normalize(x));
  return all;
}

function set(x: Float32Array, ids: readonly number[], to: number): void {
  for (const id of ids) x[id] = to;
}

function force(x: Float32Array, ids: readonly number[]): void {
  x.fill(NEVER);
  set(x, ids, 0);
}

/** arXiv:1909.05858 */
function penalize(ids: readonly number[], x: Float32Array, penalty: number): void {
  for (const id of new Set(ids)) x[id] = x[id] < 0 ? x[id] * penalty : x[id] / penalty;
}

function counts(ids: readonly number[]): Map<number, number> {
  const all = new Map<number, number>();
  for (const id of ids) all.set(id, (all.get(id) ?? 0) + 1);
  return all;
}

const matches = (ids: readonly number[], at: number, other: readonly number[], from: number, length: number) => {
  for (let i = 0; i < length; i++) if (ids[at + i] !== other[from + i]) return false;
  return true;
};

/** No token may make the last n - 1 of `ids` a run of n that is in `seen`. */
function noRepeat(seen: readonly number[], ids: readonly number[], n: number, x: Float32Array): void {
  const tail = ids.length - n + 1;
  if (tail < 0) return;
  for (let i = 0; i + n <= seen.length; i++) if (matches(seen, i, ids, tail, n - 1)) x[seen[i + n - 1]] = NEVER;
}

/** Adds to the score of a word's last token where the rest of the word stands before it. */
function bias(words: readonly (readonly [word: readonly number[], bias: number])[]): LogitsProcessor {
  // Of the same word twice the later counts.
  const all = [...new Map(words.map((entry) => [entry[0].join(), entry])).values()];
  return (ids, x) => {
    for (const [word, by] of all) {
      const before = word.length - 1;
      if (before <= ids.length && matches(ids, ids.length - before, word, 0, before)) x[word[before]] += by;
    }
  };
}

function removeInvalid(x: Float32Array): void {
  const most = 3.4028234663852886e38;
  for (let i = 0; i < x.length; i++) x[i] = Number.isNaN(x[i]) ? 0 : Math.max(-most, Math.min(most, x[i]));
}

function decay(x: Float32Array, eos: readonly number[], steps: number, factor: number): void {
  if (steps <= 0) return;
  for (const id of eos) if (Number.isFinite(x[id])) x[id] += Math.abs(x[id]) * (pow(factor, steps) - 1);
}
