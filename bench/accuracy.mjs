/** What a dtype costs in quality: cosine to the f32 vectors, and Spearman's correlation with people's judgement of pairs of sentences. */
import { pairs, pytorch, tokenizer } from "./material.mjs";
import { cosine, cosineDistance } from "./measure.mjs";

/** Ranks from 1, ties sharing their mean rank. */
function ranks(numbers) {
  const order = [...numbers.keys()].sort((a, b) => numbers[a] - numbers[b]);
  const rank = new Float64Array(numbers.length);
  for (let from = 0; from < order.length; ) {
    let to = from;
    while (to + 1 < order.length && numbers[order[to + 1]] === numbers[order[from]]) to++;
    for (let i = from; i <= to; i++) rank[order[i]] = (from + to) / 2 + 1;
    from = to + 1;
  }
  return rank;
}

/** Spearman's rank correlation: Pearson's of the ranks, which is the cosine of the ranks around their mean. */
export function spearman(a, b) {
  const mean = (a.length + 1) / 2;
  const [x, y] = [a, b].map((numbers) => ranks(numbers).map((rank) => rank - mean));
  return cosine(x, y);
}

/** Worst 1 - cosine to PyTorch's vectors over reference texts of 5 to 256 tokens. */
export async function toPyTorch(one, count) {
  const texts = pytorch(count);
  let worst = 0;
  for (const { ids, embedding } of texts) worst = Math.max(worst, cosineDistance(await one.loaded.run(ids), embedding));
  return { texts: texts.length, worst };
}

/**
 * The vectors of every sentence of the pairs, batch 1, by everybody.
 * @returns for each peer `{ pairs, cosine, worst, spearman }`: mean and least cosine to the first exact peer's vectors.
 */
export async function quality(peers, count) {
  const chosen = pairs(count);
  const encode = await tokenizer();
  const texts = [...new Set(chosen.flatMap((pair) => pair.texts))];
  const ids = texts.map(encode);
  const place = new Map(texts.map((text, i) => [text, i]));
  const scores = chosen.map((pair) => pair.score);
  const exact = peers.find((one) => one.exact) ?? peers[0];
  const vectorsOf = async (one) => {
    const vectors = [];
    for (const text of ids) vectors.push(await one.loaded.run(text));
    return vectors;
  };
  const reference = await vectorsOf(exact);
  const found = [];
  for (const one of peers) {
    const vectors = one === exact ? reference : await vectorsOf(one);
    const cosines = vectors.map((v, i) => cosine(v, reference[i]));
    const alike = chosen.map(({ texts: [a, b] }) => cosine(vectors[place.get(a)], vectors[place.get(b)]));
    found.push({
      pairs: chosen.length,
      cosine: cosines.reduce((sum, c) => sum + c, 0) / cosines.length,
      worst: Math.min(...cosines),
      spearman: spearman(alike, scores),
    });
  }
  return found;
}
