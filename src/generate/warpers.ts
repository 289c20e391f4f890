/** What bends a distribution before a token is drawn from it: transformers' warpers (generation/logits_process.py), in its order. */

import { quickExp } from "../numeric.ts";
import type { Settings } from "./options.ts";
import { kth, logSumExp, weightsOf } from "./scores.ts";

const NEVER = Number.NEGATIVE_INFINITY;

/** Changes scores in place. */
export type Warper = (scores: Float32Array) => void;

export function warpersOf(s: Settings): Warper[] {
  if (!s.do_sample) return [];
  // Beams need a token that does not end them.
  const keep = s.num_beams > 1 ? Math.max(2, s.eos_token_id.length + 1) : 1;
  const all: Warper[] = [];
  if (s.temperature !== 1) all.push((x) => temperature(x, s.temperature));
  if (s.top_k) all.push((x) => topK(x, Math.max(s.top_k, keep)));
  if (s.top_p < 1) all.push((x) => topP(x, s.top_p, keep));
  if (s.min_p !== undefined) all.push((x) => cut(x, quickExp, s.min_p!, keep));
  if (s.typical_p < 1) all.push((x) => typicalP(x, s.typical_p, keep));
  if (s.epsilon_cutoff > 0) all.push((x) => epsilonCutoff(x, s.epsilon_cutoff, keep));
  if (s.eta_cutoff > 0) all.push((x) => etaCutoff(x, s.eta_cutoff, keep));
  return all;
}

function temperature(x: Float32Array, t: number): void {
  for (let i = 0; i < x.length; i++) x[i] /= t;
}

function topK(x: Float32Array, k: number): void {
  if (k >= x.length) return;
  const least = kth(x, k);
  for (let i = 0; i < x.length; i++) if (x[i] < least) x[i] = NEVER;
}

/** The most likely tokens that have more than `p` together (arXiv:1904.09751). */
function topP(x: Float32Array, p: number, keep: number): void {
  const weights = weightsOf(x);
  const sum = weights.reduce((a, b) => a + b, 0);
  // Tokens that have less than their share of what goes are all gone: only the rest, often few, need to be sorted.
  const share = ((1 - p) * sum) / x.length;
  let rest = x.filter((_, i) => weights[i] > share);
  let gone = weights.reduce((a, w) => (w > share ? a : a + w), 0);
  if (rest.length < keep) [rest, gone] = [x.slice(), 0];
  rest.sort();
  const most = kth(x, 1);
  let removed = 0;
  for (; removed < rest.length - keep; removed++) {
    gone += quickExp(rest[removed] - most);
    if (gone / sum > 1 - p) break;
  }
  const least = rest[removed];
  // Of equal ones the first go first, as in a stable sort.
  let equal = removed - rest.indexOf(least);
  for (let i = 0; i < x.length; i++) if (x[i] < least || (x[i] === least && equal-- > 0)) x[i] = NEVER;
}

/** Drops tokens of which f(score - largest) is below `least`, but none of the `keep` best. */
function cut(x: Float32Array, f: (below: number) => number, least: number, keep: number): void {
  const most = kth(x, 1);
  const best = keep === 1 ? most : kth(x, Math.min(keep, x.length));
  for (let i = 0; i < x.length; i++) if (x[i] < best && f(x[i] - most) < least) x[i] = NEVER;
}

function epsilonCutoff(x: Float32Array, epsilon: number, keep: number): void {
  const below = logSumExp(x) - kth(x, 1);
  cut(x, (d) => quickExp(d - below), epsilon, keep);
}

/** arXiv:2210.15191 */
function etaCutoff(x: Float32Array, epsilon: number, keep: number): void {
  epsilonCutoff(x, Math.min(epsilon, Math.sqrt(epsilon) * quickExp(-entropy(x))), keep);
}

function entropy(x: Float32Array): number {
  const sum = logSumExp(x);
  return x.reduce((e, v) => (v === NEVER ? e : e - quickExp(v - sum) * (v - sum)), 0);
}

/** Tokens about as surprising as the distribution is on the whole (arXiv:2202.00666). */
function typicalP(x: Float32Array, mass: number, keep: number): void {
  const sum = logSumExp(x);
  const e = entropy(x);
  const far = x.map((v) => Math.abs(sum - v - e));
  const p = new Float64Array(x.length);
  for (let i = 0; i < x.length; i++) p[i] = quickExp(x[i] - sum);
  // The least distance within which `mass` lies, bit by bit: floats that are not negative have the order of their bits.
  const bits = new Uint32Array(far.buffer);
  let [below, within] = [-1, 0x7f800000];
  while (within - below > 1) {
    const middle = Math.floor((below + within) / 2);
    let passed = 0;
    for (let i = 0; i < p.length; i++) if (bits[i] <= middle) passed += p[i];
    if (passed >= mass) within = middle;
    else below = middle;
  }
  const near = new Float32Array(new Uint32Array([within]).buffer)[0];
  const most = Math.max(
    near,
    -kth(
      far.map((v) => -v),
      Math.min(keep, far.length),
    ),
  );
  for (let i = 0; i < x.length; i++) if (far[i] > most) x[i] = NEVER;
}

/** log softmax. */
export function normalize(x: Float32Array): void {
  const sum = logSumExp(x);
  for (let i = 0; i < x.length; i++) x[i] -= sum;
}
