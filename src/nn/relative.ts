import { type Graph, pad, type Value } from "../graph/graph.ts";

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
