/** What a row of logits says. */

import { log, quickExp } from "../numeric.ts";

/** Where the largest is, the first of equals; -1 if there is none above -Infinity. */
export function argmax(x: Float32Array): number {
  let best = -1;
  let most = Number.NEGATIVE_INFINITY;
  for (let i = 0; i < x.length; i++)
    if (x[i] > most) {
      most = x[i];
      best = i;
    }
  return best;
}

/** log Σ e^x. */
export function logSumExp(x: Float32Array): number {
  const most = x[argmax(x)];
  let sum = 0;
  // Smaller ones change nothing: a whole vocabulary of them adds less than rounding takes.
  for (let i = 0; i < x.length; i++) if (x[i] - most > -50) sum += quickExp(x[i] - most);
  return most + log(sum);
}

/** Softmax without its division: 1 for the largest. */
export function weightsOf(x: Float32Array): Float64Array {
  const most = x[argmax(x)];
  const out = new Float64Array(x.length);
  for (let i = 0; i < x.length; i++) out[i] = quickExp(x[i] - most);
  return out;
}

/** The k-th largest value. */
export function kth(x: Float32Array, k: number): number {
  // A heap of the k largest so far, the smallest of them on top.
  const heap = x.slice(0, k).sort();
  for (let i = k; i < x.length; i++) {
    const v = x[i];
    if (!(v > heap[0])) continue;
    let at = 0;
    for (let child = 1; child < k; child = 2 * at + 1) {
      if (child + 1 < k && heap[child + 1] < heap[child]) child++;
      if (heap[child] >= v) break;
      heap[at] = heap[child];
      at = child;
    }
    heap[at] = v;
  }
  return heap[0];
}
