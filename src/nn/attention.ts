import { InputError, ShapeError, UnsupportedOptionError } from "../errors.ts";
import type { Checkpoint } from "../format/checkpoint.ts";
import type { Outputs } from "../graph/fuse.ts";
import { type AttentionOptions, type Dims, Graph, type Value } from "../graph/graph.ts";
import { type EngineOptions, sharedEngine } from "../runtime/engine.ts";
import type { RunInputs, Session } from "../runtime/session.ts";
import { Tensor, type TensorLike } from "../tensor.ts";

export const f32 = (t: TensorLike) => (t.data instanceof Float32Array ? t.data : Float32Array.from(t.data));
const rowsOf = (b: number, t: number) => Int32Array.from({ length: b + 1 }, (_, i) => i * t);

export function checked(name: string, t: TensorLike, expected: readonly (number | string | null)[]): TensorLike {
  const good =
    t?.dims?.length === expected.length && expected.every((d, i) => typeof d !== "number" || d === t.dims[i]);
  if (!good) throw new ShapeError(name, expected, t?.dims ?? []);
  if (t.dims.reduce((a, b) => a * b, 1) !== t.data.length)
    throw new ShapeError(`${name}.data`, [t.data.length], t.dims);
  return t;
}

/** [B, H, T, D] as rows of [B · T, H · D], or back: swaps axes 1 and 2. */
function swapped(data: Float32Array, [b, h, t, d]: readonly number[]): Float32Array {
  const out = new Float32Array(data.length);
  for (let i = 0; i < b; i++)
    for (let j = 0; j < h; j++)
      for (let k = 0; k < t; k++)
        out.set(data.subarray(((i * h + j) * t + k) * d, ((i * h + j) * t + k + 1) * d), ((i * t + k) * h + j) * d);
  return out;
}

/** An additive mask and how it spreads over [B, H, Tq, Tk]. */
export interface Mask {
  data: Float32Array;
  dims: readonly number[];
}

/** A graph in the shared engine. What fuses graphs and loads weights is imported with the first one. */
export async function load(
  { nodes }: Graph,
  outputs: Outputs,
  checkpoints: readonly Checkpoint[],
  options: LayerOptions,
): Promise<Session> {
  const engine = await sharedEngine(options);
  return (await import("../runtime/session.ts")).Session.load({ nodes, outputs }, checkpoints, { engine });
}

/** Runs one attention graph for a batch of B × Tq queries over B × Tk keys. */
export async function attend(
  session: Session,
  names: string[],
  b: number,
  tq: number,
  tk: number,
  heads: number,
  inputs: RunInputs,
) {
  const dims: Dims = { T: b * tq, S: b * tk, B: b, P: b * tq * tk, R: inputs.mask?.length ?? 0 };
  const tap_offsets = Int32Array.from({ length: b }, (_, i) => i * heads * tq * tk);
  const all = { ...inputs, offsets: rowsOf(b, tq), k_offsets: rowsOf(b, tk), tap_offsets };
  return session.run(names, dims, all, (values, copy) => values.map(copy));
}

/** Which module a layer runs on. Layers of one module share its memory. */
export type LayerOptions = Pick<EngineOptions, "deterministic" | "wasm">;

export function buildAttention(g: Graph, q: Value, k: Value, v: Value, mask: Mask | undefined, o: AttentionOptions) {
  const of = mask && { mask: g.input("mask", "R", "f32"), mask_axes: axesOf(mask) };
  return g.attention(q, k, v, { ...o, ...of, k_offsets: g.input("k_offsets", "B") });
}

/** What of a mask a graph depends on; the sizes themselves are those of each run. */
export const axesOf = (mask: Mask) => mask.dims.slice(0, 3).map((d) => d > 1);

interface GivenMask {
  name: string;
  mask: TensorLike | undefined;
  /** Which integer lets a query see a key. */
  sees: 0 | 1;
}

/** Masks that each broadcast to [B, H, Tq, Tk] as one additive mask, as small as they allow; forbidden pairs are -inf. */
export function additive(given: readonly GivenMask[], full: readonly number[]): Mask | undefined {
  const masks = given.flatMap(({ name, mask, sees }) => {
    if (!mask) return [];
    const own = mask.dims ?? [];
    const dims = [...new Array<number>(Math.max(0, 4 - own.length)).fill(1), ...own];
    if (dims.length > 4 || dims.some((d, i) => d !== 1 && d !== full[i])) throw new ShapeError(name, full, own);
    checked(name, mask, own);
    const score = (x: number) => {
      if (mask.data instanceof Float32Array) return x;
      // Scores in a plain array would else be taken for flags, and turned round.
      if (+x !== 0 && +x !== 1) throw new InputError(`${name} holds ${x}: only a Float32Array is added to scores`);
      return +x === sees ? 0 : Number.NEGATIVE_INFINITY;
    };
    const at = (index: readonly number[]) => dims.reduce((n, d, i) => n * d + (d === 1 ? 0 : index[i]), 0);
    return [{ dims, at, step: dims[3] === 1 ? 0 : 1, score, data: mask.data }];
  });
  if (!masks.length) return;
  const dims = full.map((d, i) => (i === 3 ? d : Math.max(...masks.map((m) => m.dims[i]))));
  const [b, h, tq, tk] = dims;
  const data = new Float32Array(b * h * tq * tk);
  for (let row = 0; row < b * h * tq; row++) {
    const index = [Math.floor(row / (h * tq)), Math.floor(row / tq) % h, row % tq, 0];
    for (const m of masks) {
      const from = m.at(index);
      for (let k = 0; k < tk; k++) data[row * tk + k] += m.score(m.data[from + k * m.step]);
    }
  }
  return { dims, data };
}

export interface AttentionCallOptions extends LayerOptions {
  /** [Tq, Tk] or anything that broadcasts to [B, H, Tq, Tk]. Of 0 and 1: 1 lets the query see the key. Float32Array: added to the scores. */
  mask?: TensorLike;
  /** A query sees keys up to its own place, the last query standing beside the last key. */
  causal?: boolean;
  /** With `causal`: at most this many keys, the query's own included. */
  window?: number;
  /** Default 1/√D. */
  scale?: number;
  /** Scores become softcap · tanh(score / softcap). */
  softcap?: number;
  /** Also give the probabilities. */
  probs?: boolean;
}

/**
 * softmax(q · kᵀ · scale + mask) · v, as torch.nn.functional.scaled_dot_product_attention: q [B, H, Tq, D], k [B, KV, Tk, D], v [B, KV, Tk, Dv];
 * H is a multiple of KV (grouped queries). Leading axes may be missing. A query that sees no key gives zeros.
 * @returns out [B, H, Tq, Dv], probs [B, H, Tq, Tk]
 * @throws ShapeError, InputError, UnsupportedOptionError
 */
export async function scaledDotProductAttention(
  q: TensorLike,
  k: TensorLike,
  v: TensorLike,
  { mask, causal = false, window, scale, softcap, probs = false, ...engine }: AttentionCallOptions = {},
): Promise<{ out: Tensor; probs?: Tensor }> {
  const lead = q?.dims?.length ?? 0;
  if (lead < 2 || lead > 4) throw new ShapeError("q", ["B", "H", "Tq", "D"], q?.dims ?? []);
  const full = (t: TensorLike) => ({
    ...t,
    data: t?.data,
    dims: [...new Array<number>(Math.max(0, 4 - lead)).fill(1), ...(t?.dims ?? [])],
  });
  const [b, h, tq, d] = checked("q", full(q), [null, null, null, null]).dims;
  const [, kv, tk] = checked("k", full(k), [b, null, null, d]).dims;
  const [, , , dv] = checked("v", full(v), [b, kv, tk, null]).dims;
  if (!kv || h % kv) throw new ShapeError("k", [b, `a divisor of ${h}`, tk, d], full(k).dims);
  if (window !== undefined && !(Number.isInteger(window) && window > 0 && causal))
    throw new UnsupportedOptionError("window", window, ["a positive integer, with causal"]);
  if (!d || !dv) throw new ShapeError(d ? "v" : "q", ["B", "H", "T", "1 or more"], (d ? v : q).dims);
  const shape = (t: Float32Array, last: number) => new Tensor(t, [...[b, h, tq].slice(4 - lead), last]);
  const nothing = (last: number) => shape(new Float32Array(0), last);
  if (!b || !h || !tq) return { out: nothing(dv), probs: probs ? nothing(tk) : undefined };
  const bias = additive([{ name: "mask", mask, sees: 1 }], [b, h, tq, tk]);

  const g = new Graph(new Map());
  const rows = (name: string, of: "T" | "S", cols: number) => g.input(name, of, "f32", cols);
  const options = { heads: h, kv_heads: kv, scale, softcap, right: causal ? 0 : undefined, left: window && window - 1 };
  const { out, probabilities } = buildAttention(
    g,
    rows("q", "T", h * d),
    rows("k", "S", kv * d),
    rows("v", "S", kv * dv),
    bias,
    options,
  );
  const session = await load(g, { out, probs: probabilities }, [], engine);
  try {
    const inputs = {
      q: swapped(f32(q), [b, h, tq, d]),
      k: swapped(f32(k), [b, kv, tk, d]),
      v: swapped(f32(v), [b, kv, tk, dv]),
      mask: bias?.data,
    };
    const [o, p] = await attend(session, probs ? ["out", "probs"] : ["out"], b, tq, tk, h, inputs);
    return { out: shape(swapped(o, [b, tq, h, dv]), dv), probs: p && shape(p, tk) };
  } finally {
    session.dispose();
  }
}
