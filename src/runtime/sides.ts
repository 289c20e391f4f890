import { InputError } from "../errors.ts";
import type { Dims } from "../graph/graph.ts";
import type { Batch } from "./batch.ts";

/** Sizes as another side of the graph has them. */
export const dimsOfSide = (side: string, dims: Dims): Partial<Dims> =>
  Object.fromEntries(Object.entries(dims).map(([axis, n]) => [`${side}.${axis}`, n]));

/** A batch and that of another side of the graph: the sequences of one belong to those of the other, in order. */
export function withSide(main: Batch, side: string, other: Batch): Batch {
  const inputs = Object.entries(other.inputs).map(([name, data]) => [`${side}_${name}`, data]);
  return {
    ...main,
    dims: { ...main.dims, ...dimsOfSide(side, other.dims) },
    inputs: { ...main.inputs, ...Object.fromEntries(inputs) },
    sides: { ...main.sides, [side]: other },
  };
}

/** The same where the sequences of `main` look at those of the other side: cross-attention of `heads`. @throws InputError */
export function withKeys(main: Batch, side: string, keys: Batch, heads: number): Batch {
  const { B } = main.dims;
  if (keys.dims.B !== B) throw new InputError(`the decoder has ${B} sequences, the ${side} ${keys.dims.B}`);
  const pairs = Array.from({ length: B }, (_, b) => {
    const [queries, seen] = [main, keys].map(({ offsets }) => offsets[b + 1] - offsets[b]);
    return queries * seen;
  });
  const cross_tap_offsets = new Int32Array(B);
  for (let b = 1; b < B; b++) cross_tap_offsets[b] = cross_tap_offsets[b - 1] + heads * pairs[b - 1];
  const both = withSide(main, side, keys);
  return {
    ...both,
    dims: { ...both.dims, X: pairs.reduce((n, p) => n + p, 0) },
    inputs: { ...both.inputs, cross_tap_offsets, cross_offsets: keys.offsets },
  };
}

/** Sequences without rows: of a side that this run does not need. */
export function noRows(B: number): Batch {
  const dims: Dims = { T: 0, B, P: 0, S: 0, R: 0 };
  return { dims, length: 0, rows: new Int32Array(0), offsets: new Int32Array(B + 1), inputs: {} };
}
