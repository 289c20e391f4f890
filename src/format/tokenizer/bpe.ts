import type { Cutter, Piece } from "./part.ts";
import type { Prepared } from "./prepared.ts";

/** Places in a key of the heap: a rank times this, and a place. 24 bits of rank leave 29 of a number's 53. */
const PLACES = 2 ** 29;

/** A heap of numbers, the smallest first. */
function put(heap: number[], key: number): void {
  let at = heap.length;
  for (; at; at = (at - 1) >> 1) {
    const up = heap[(at - 1) >> 1];
    if (up <= key) break;
    heap[at] = up;
  }
  heap[at] = key;
}

function take(heap: number[]): number {
  const [first] = heap;
  const last = heap.pop()!;
  const { length } = heap;
  if (!length) return first;
  let at = 0;
  for (let down = 1; down < length; down = 2 * at + 1) {
    if (heap[down + 1] < heap[down]) down++;
    if (heap[down] >= last) break;
    heap[at] = heap[down];
    at = down;
  }
  heap[at] = last;
  return first;
}

/**
 * Byte-pair encoding (arXiv:1508.07909): of all neighbours in a word the pair of the lowest rank becomes one symbol, the first of
 * them where several are as low, until none is left that merges. A heap, since some tokenizers make one word of a whole text.
 */
export function bpe({ vocab, merges, parts }: Prepared): Cutter {
  const { end_of_word_suffix, ignore_merges, unk_token, byte_fallback } = parts.model;
  const suffix = String(end_of_word_suffix ?? "");
  // A character that is no token keeps its neighbours apart if it becomes one; otherwise it is as if it were not there.
  const keep = unk_token != null || byte_fallback;
  return (text) => {
    const { word } = vocab;
    if (ignore_merges) {
      const id = vocab.id(text);
      if (id >= 0) return [[text, id, 0, text.length]];
    }
    const all = word.spell(text + suffix);
    const { bytes, units } = word;
    // By symbol: its first byte, its id, the symbols before and after it, the rank of it and the next.
    const starts: number[] = [];
    const ids: number[] = [];
    const before: number[] = [];
    const after: number[] = [];
    const ranks: number[] = [];
    let n = 0;
    let end = 0;
    for (let from = 0, to: number; from < all; from = to) {
      to = from + 1;
      while ((bytes[to] & 0xc0) === 0x80) to++;
      // The last character has the suffix on it.
      if (units[to] >= text.length) to = all;
      const id = vocab.find(word.hash(from, to), from, to);
      if (id < 0 && !keep) continue;
      if (end < from) {
        bytes.copyWithin(end, from, to);
        units.copyWithin(end, from, to);
      }
      starts.push(end);
      ids.push(id);
      before.push(n - 1);
      after.push(++n);
      ranks.push(-1);
      end += to - from;
    }
    starts.push(end);
    units[end] = text.length;

    const heap: number[] = [];
    const offer = (i: number) => {
      if (i < 0) return;
      ranks[i] = ids[i] < 0 || after[i] >= n || ids[after[i]] < 0 ? -1 : merges.rank(ids[i], ids[after[i]]);
      if (ranks[i] >= 0) put(heap, ranks[i] * PLACES + i);
    };
    for (let i = 0; i < n; i++) offer(i);
    while (heap.length) {
      const key = take(heap);
      const i = key % PLACES;
      // What came of an older neighbour has another rank by now, or none.
      if (ranks[i] !== (key - i) / PLACES) continue;
      const next = after[i];
      const to = starts[after[next]];
      const id = vocab.find(word.hash(starts[i], to), starts[i], to);
      ranks[next] = ranks[i] = -1;
      if (id < 0) continue;
      ids[i] = id;
      after[i] = after[next];
      before[after[i]] = i;
      offer(i);
      offer(before[i]);
    }
    const pieces: Piece[] = [];
    for (let i = 0; i < n; i = after[i]) {
      const [from, to] = [units[starts[i]], units[starts[after[i]]]];
      pieces.push([text.slice(from, to) + (to < text.length ? "" : suffix), ids[i], from, to]);
    }
    return pieces;
  };
}
