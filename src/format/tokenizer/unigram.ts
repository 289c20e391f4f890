import type { Cutter, Piece } from "./part.ts";
import type { Prepared } from "./prepared.ts";
import { SEED, step } from "./word.ts";

/**
 * The Unigram model (arXiv:1804.10959): the cut with the highest sum of scores, by Viterbi. A character that is no piece scores 10
 * below the worst piece (`worst`); neighbours of that kind make one unknown token.
 */
export function unigram({ vocab, scores, parts }: Prepared): Cutter {
  const { longest, worst } = parts.model as { longest?: number; worst?: number };
  const unknown = worst! - 10;
  return (text) => {
    const { word } = vocab;
    const all = word.spell(text);
    const { bytes, units } = word;
    // The best way to each byte that a character starts at: its score, where its last piece starts, and that piece's id.
    const best = new Float64Array(all + 1).fill(-Infinity);
    const start = new Int32Array(all + 1);
    const last = new Int32Array(all + 1).fill(-1);
    const offer = (from: number, to: number, score: number, id: number) => {
      if (!(best[from] + score > best[to])) return;
      best[to] = best[from] + score;
      start[to] = from;
      last[to] = id;
    };
    best[0] = 0;
    for (let from = 0, next: number; from < all; from = next) {
      next = from + 1;
      while ((bytes[next] & 0xc0) === 0x80) next++;
      const stop = Math.min(all, from + longest!);
      let single = false;
      for (let to = from, hash = SEED; to < stop; ) {
        hash = step(hash, bytes[to++]);
        if ((bytes[to] & 0xc0) === 0x80) continue;
        const id = vocab.find(hash, from, to);
        if (id < 0) continue;
        single ||= to === next;
        offer(from, to, scores[id], id);
      }
      if (!single) offer(from, next, unknown, -1);
    }
    const pieces: Piece[] = [];
    for (let end = all; end > 0; end = start[end]) {
      const [from, to] = [units[start[end]], units[end]];
      const token = text.slice(from, to);
      const after = pieces.at(-1);
      if (last[end] < 0 && after && after[1] < 0) {
        after[0] = token + after[0];
        after[2] = from;
      } else pieces.push([token, last[end], from, to]);
    }
    return pieces.reverse();
  };
}
