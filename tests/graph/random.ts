import { Graph, type Node, type Value } from "../../src/graph/graph.ts";
import { Activation } from "../../src/graph/op.ts";

/** A small generator of random numbers, the same everywhere. */
export function random(seed: number): () => number {
  let s = seed >>> 0;
  return () => {
    s = (Math.imul(s, 1664525) + 1013904223) >>> 0;
    return s / 2 ** 32;
  };
}

export interface RandomGraph {
  nodes: Node[];
  outputs: { [name: string]: Value };
  tensors: { [name: string]: { data: Float32Array; dims: number[] } };
  /** The same computation by naive loops in f64. `x` [rows, cols of the input], `ids` of the table. */
  naive(x: Float32Array, ids: Int32Array): { [name: string]: Float64Array[] };
  cols: number;
  vocab: number;
}

/** A random feed-forward graph of linears, activations, sums, norms, gathers and gates, and the f64 loop that it must equal. */
export function randomGraph(seed: number): RandomGraph {
  const next = random(seed);
  const int = (n: number) => Math.floor(next() * n);
  const g = new Graph(new Map());
  const cols = 1 + int(20);
  const vocab = 3 + int(10);
  const tensors: RandomGraph["tensors"] = {};
  type Row = Float64Array;
  type Env = { x: Row; id: number };
  const values: { v: Value; at: (e: Env) => Row }[] = [];
  const memo = new WeakMap<Env, Map<number, Row>>();
  const push = (v: Value, of: (e: Env) => Row) => {
    const i = values.length;
    const at = (e: Env) => {
      const seen = memo.get(e) ?? new Map<number, Row>();
      memo.set(e, seen);
      const row = seen.get(i) ?? of(e);
      seen.set(i, row);
      return row;
    };
    values.push({ v, at });
  };
  const tensor = (name: string, dims: number[]) => {
    const data = Float32Array.from({ length: dims.reduce((a, b) => a * b) }, () => next() * 2 - 1);
    tensors[name] = { data, dims };
    return { w: g.weight(name, dims), data };
  };
  push(g.input("x", "T", "f32", cols), (e) => e.x);
  const table = tensor("table", [vocab, cols]);
  push(g.embed(g.input("ids", "T"), table.w), (e) =>
    Float64Array.from(table.data.subarray(e.id * cols, (e.id + 1) * cols)),
  );
  const relu = (a: Row) => a.map((t) => Math.max(0, t));
  const ops = 3 + int(12);
  for (let n = 0; n < ops; n++) {
    const a = values[int(values.length)];
    const b = values[int(values.length)];
    const kind = int(6);
    const width = a.v.cols;
    if (kind <= 1) {
      const out = 1 + int(20);
      const { w, data } = tensor(`w${n}`, [out, width]);
      const bias = next() < 0.5 ? tensor(`b${n}`, [out]) : undefined;
      push(g.linear(a.v, w, bias?.w), (e) => {
        const row = a.at(e);
        return Float64Array.from({ length: out }, (_, o) =>
          row.reduce((s, t, k) => s + t * data[o * width + k], bias?.data[o] ?? 0),
        );
      });
    } else if (kind === 2) push(g.activation(a.v, Activation.relu), (e) => relu(a.at(e)));
    else if (kind === 3 && width === b.v.cols) push(g.add(a.v, b.v), (e) => a.at(e).map((t, i) => t + b.at(e)[i]));
    else if (kind === 4) {
      const half = Math.floor(width / 2);
      if (half) {
        const [left, right] = [g.columns(a.v, 0, half), g.columns(a.v, half, half)];
        push(g.glu(left, right, Activation.relu), (e) =>
          relu(a.at(e).slice(0, half)).map((t, i) => t * a.at(e)[half + i]),
        );
      }
    } else if (kind === 5) {
      push(g.layerNorm(a.v, undefined, undefined, 1e-3), (e) => {
        const row = a.at(e);
        const mean = row.reduce((s, t) => s + t, 0) / width;
        const variance = row.reduce((s, t) => s + (t - mean) ** 2, 0) / width;
        return row.map((t) => (t - mean) / Math.sqrt(variance + 1e-3));
      });
    }
  }
  const chosen = values
    .map((x, i) => ({ ...x, i }))
    .filter(({ v, i }) => v.kind === "node" && (i === values.length - 1 || next() < 0.2));
  const outputs = Object.fromEntries(chosen.map(({ v, i }) => [`out${i}`, v]));
  return {
    nodes: g.nodes,
    outputs,
    tensors,
    cols,
    vocab,
    naive(x, ids) {
      const envs = Array.from(
        ids,
        (id, r): Env => ({ id, x: Float64Array.from(x.subarray(r * cols, (r + 1) * cols)) }),
      );
      return Object.fromEntries(chosen.map(({ at, i }) => [`out${i}`, envs.map((e) => at(e))]));
    },
  };
}
