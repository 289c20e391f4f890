import { type Graph, pad, type Value } from "../graph/graph.ts";
import { log, pow } from "../numeric.ts";

/**
 * The attention bias of T5 (arXiv:1910.10683): a learned number a head and bucket of distances. `table` is [buckets, heads];
 * `bucket` says in which one a key lies that stands so far behind the query, for distances up to ±span, which all further ones share.
 */
export function relativeBias(
  g: Graph,
  table: Value,
  heads: number,
  span: number,
  bucket: (distance: number) => number,
): Value {
  const width = 2 * span + 1;
  const buckets = Int32Array.from({ length: width }, (_, i) => bucket(i - span));
  // By distance and head; times ones, head by head, it is by head and distance: attention reads the rows of all heads as one.
  const rows = g.embed(g.constant(buckets, width), table);
  const turned = g.headProducts(g.constant(new Float32Array(heads).fill(1)), rows, heads);
  return g.concat(Array.from({ length: heads }, (_, h) => g.columns(turned, h * pad(width), width)));
}

/**
 * T5's buckets for a key so far behind a query: half of them for distances of their own, the rest grow with the logarithm up to `most`,
 * which all further ones share; as many again for keys behind the query where those are seen (`both`). In f32, step by step, as PyTorch
 * rounds it: which of two buckets a distance falls into hangs on that.
 */
export function logBucketT5(distance: number, buckets: number, most: number, both: boolean): number {
  const own = both ? Math.floor(buckets / 2) : buckets;
  const first = both && distance > 0 ? own : 0;
  const n = both ? Math.abs(distance) : Math.max(0, -distance);
  const exact = Math.floor(own / 2);
  if (n < exact) return first + n;
  const part = Math.fround(Math.fround(log(Math.fround(n / exact))) / Math.fround(log(most / exact)));
  return first + Math.min(own - 1, exact + Math.trunc(Math.fround(part * (own - exact))));
}

/** DeBERTa's buckets (arXiv:2006.03654): distances up to half of them have one each, those up to `most` share the rest by their logarithm. */
export function logBucket(distance: number, buckets: number, most: number): number {
  const mid = Math.floor(buckets / 2);
  const n = Math.abs(distance);
  if (n <= mid) return distance;
  return Math.sign(distance) * (mid + Math.ceil((log(n / mid) / log((most - 1) / mid)) * (mid - 1)));
}

/** Distances are told apart no further than this, whatever the buckets. */
const LONGEST = 1 << 16;

/** The row clamp(bucket + half, 0, 2 · half - 1) for each distance from -span to span, where rows reach both ends. */
export function relativeRows(half: number, bucket: (distance: number) => number): Int32Array {
  const row = (distance: number) => Math.max(0, Math.min(bucket(distance) + half, 2 * half - 1));
  let span = 1;
  while (span < LONGEST && (row(span) < 2 * half - 1 || row(-span) > 0)) span++;
  return Int32Array.from({ length: 2 * span + 1 }, (_, i) => row(i - span));
}

/** What ALiBi (arXiv:2108.12409) adds to the score of a key, for each position that it stands behind the query: a number a head. */
export function alibiSlopes(heads: number): Float32Array {
  const power = 2 ** (31 - Math.clz32(heads));
  const base = (n: number) => Math.fround(pow(2, -8 / n));
  return Float32Array.from({ length: heads }, (_, i) =>
    i < power ? pow(base(power), i + 1) : pow(base(2 * power), 2 * (i - power) + 1),
  );
}
