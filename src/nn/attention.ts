import { InputError, ShapeError, UnsupportedOptionError, WeightsError } from "../errors.ts";
import { checkpointOf } from "../format/tensors.ts";
import { type AttentionOptions, type Dims, Graph, pad, type Value } from "../graph/graph.ts";
import { sharedEngine } from "../runtime/engine.ts";
import { type RunInputs, Session } from "../runtime/session.ts";
import { Tensor, type TensorLike } from "../tensor.ts";
import { linear } from "./blocks.ts";

const f32 = (t: TensorLike) => (t.data instanceof Float32Array ? t.data : Float32Array.from(t.data));
const rowsOf = (b: number, t: number) => Int32Array.from({ length: b + 1 }, (_, i) => i * t);

function checked(name: string, t: TensorLike, expected: readonly (number | string | null)[]): TensorLike {
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
interface Mask {
  data: Float32Array;
  dims: readonly number[];
}

/** Runs one attention graph for a batch of B × Tq queries over B × Tk keys. */
async function attend(
  session: Session,
  names: string[],
  b: number,
  tq: number,
  tk: number,
  heads: number,
  inputs: RunInputs,
) {
  const dims: Dims = { T: b * tq, S: b * tk, B: b, P: b * tq * tk, R: 0 };
  const tap_offsets = Int32Array.from({ length: b }, (_, i) => i * heads * tq * tk);
  const all = { ...inputs, offsets: rowsOf(b, tq), k_offsets: rowsOf(b, tk), tap_offsets };
  return session.run(names, dims, all, (values, copy) => values.map(copy));
}

function buildAttention(g: Graph, q: Value, k: Value, v: Value, mask: Mask | undefined, o: AttentionOptions) {
  let strides: [number, number, number] | undefined;
  let value: Value | undefined;
  if (mask) {
    const [mb, mh, mq, mk] = mask.dims;
    const ld = pad(mk);
    value = g.input("mask", mb * mh * mq, "f32", mk);
    strides = [mb > 1 ? mh * mq * ld : 0, mh > 1 ? mq * ld : 0, mq > 1 ? ld : 0];
  }
  return g.attention(q, k, v, { ...o, mask: value, mask_strides: strides, k_offsets: g.input("k_offsets", "B") });
}

/** A 0/1 mask (`keep` says which value lets a query see a key) or an additive one, as additive [B|1, H|1, Tq|1, Tk]. */
function additive(name: string, mask: TensorLike, [b, h, tq, tk]: readonly number[], keep: 0 | 1): Mask {
  const lead = mask.dims?.length ?? 0;
  if (lead > 4 || lead < 1) throw new ShapeError(name, [b, h, tq, tk], mask.dims ?? []);
  const dims = [...new Array<number>(4 - lead).fill(1), ...mask.dims];
  if (dims.some((d, i) => d !== 1 && d !== [b, h, tq, tk][i])) throw new ShapeError(name, [b, h, tq, tk], mask.dims);
  const count = dims.reduce((a, c) => a * c, 1);
  if (count !== mask.data.length) throw new ShapeError(`${name}.data`, [mask.data.length], mask.dims);
  const of =
    mask.data instanceof Float32Array
      ? (x: number) => x
      : (x: number) => (+(x !== 0) === keep ? 0 : Number.NEGATIVE_INFINITY);
  if (dims[3] === tk) return { dims, data: Float32Array.from(mask.data, of) };
  return {
    dims: [dims[0], dims[1], dims[2], tk],
    data: Float32Array.from({ length: count * tk }, (_, i) => of(mask.data[Math.floor(i / tk)])),
  };
}

export interface AttentionCallOptions {
  /** [Tq, Tk] or anything that broadcasts to [B, H, Tq, Tk]. Integers: 1 lets the query see the key. Float32Array: added to the scores. */
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
 * @throws ShapeError, UnsupportedOptionError
 */
export async function scaledDotProductAttention(
  q: TensorLike,
  k: TensorLike,
  v: TensorLike,
  { mask, causal = false, window, scale, softcap, probs = false }: AttentionCallOptions = {},
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
  const dims = [b, h, tq, dv];
  if (!b || !h || !tq || !dv || !d) return { out: new Tensor(new Float32Array(b * h * tq * dv), q.dims.with(-1, dv)) };
  const bias = mask && additive("mask", mask, [b, h, tq, tk], 1);

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
  const session = await Session.load({ nodes: g.nodes, outputs: { out, probs: probabilities } }, [], {
    engine: await sharedEngine(),
  });
  try {
    const inputs = {
      q: swapped(f32(q), [b, h, tq, d]),
      k: swapped(f32(k), [b, kv, tk, d]),
      v: swapped(f32(v), [b, kv, tk, dv]),
      mask: bias?.data,
    };
    const [o, p] = await attend(session, probs ? ["out", "probs"] : ["out"], b, tq, tk, h, inputs);
    const shape = (t: Float32Array, last: number) => new Tensor(t, [...dims.slice(4 - lead, 3), last]);
    return { out: shape(swapped(o, [b, tq, h, dv]), dv), probs: p && shape(p, tk) };
  } finally {
    session.dispose();
  }
}

export interface MultiheadAttentionOptions {
  /** Width of keys and of values where it is not embed_dim. */
  kdim?: number;
  vdim?: number;
  bias?: boolean;
  /** Default for `forward`: a query sees keys up to its own place. */
  causal?: boolean;
  /** false: no projection of the output. */
  out_proj?: boolean;
  /**
   * By PyTorch's names: in_proj_weight [3E, E], or q_proj_weight [E, E], k_proj_weight [E, kdim], v_proj_weight [E, vdim]; in_proj_bias [3E];
   * out_proj.weight [E, E], out_proj.bias [E]. Or three Linear layers: q_proj.weight, q_proj.bias, ….
   * Without them the layer is initialised as PyTorch's is, from `seed`.
   */
  weights?: Readonly<Record<string, TensorLike>>;
  seed?: number;
}

export interface MultiheadForwardOptions {
  /** [B, Tk], integers: 1 means that the key is padding and nobody sees it. */
  key_padding_mask?: TensorLike;
  /** [Tq, Tk] or [B · H, Tq, Tk]. Integers: 1 forbids, as in PyTorch. Float32Array: added to the scores. */
  attn_mask?: TensorLike;
  is_causal?: boolean;
  need_weights?: boolean;
  /** true: weights are the mean over heads, [B, Tq, Tk], PyTorch's default. Ours shows every head: [B, H, Tq, Tk]. */
  average_attn_weights?: boolean;
}

/** torch.nn.MultiheadAttention with batch_first: projections, attention, output projection (arXiv:1706.03762). */
export class MultiheadAttention {
  readonly weights: Readonly<Record<string, TensorLike>>;
  readonly #options: MultiheadAttentionOptions;
  readonly #linears: Readonly<Record<string, TensorLike>>;
  readonly #sessions = new Map<string, Promise<Session>>();
  #disposed = false;

  /** @throws UnsupportedOptionError if num_heads does not divide embed_dim, ShapeError if a weight has other dims, WeightsError if one is missing */
  constructor(
    readonly embed_dim: number,
    readonly num_heads: number,
    options: MultiheadAttentionOptions = {},
  ) {
    const good =
      Number.isInteger(embed_dim) &&
      Number.isInteger(num_heads) &&
      num_heads > 0 &&
      embed_dim > 0 &&
      embed_dim % num_heads === 0;
    if (!good) throw new UnsupportedOptionError("num_heads", num_heads, [`a divisor of embed_dim ${embed_dim}`]);
    this.#options = options;
    this.weights = options.weights ?? initial(embed_dim, options);
    this.#linears = linears(embed_dim, this.weights, options);
  }

  /**
   * q [B, Tq, E], k [B, Tk, kdim], v [B, Tk, vdim], or all three without B.
   * @returns out [B, Tq, E]; weights where need_weights (the default) asks for them
   */
  async forward(
    q: TensorLike,
    k: TensorLike,
    v: TensorLike,
    o: MultiheadForwardOptions = {},
  ): Promise<{ out: Tensor; weights?: Tensor }> {
    if (this.#disposed) throw new InputError("the layer was disposed");
    const { embed_dim: E, num_heads: H } = this;
    const { kdim = E, vdim = E } = this.#options;
    const { need_weights = true, average_attn_weights = false, is_causal = this.#options.causal ?? false } = o;
    const batched = q?.dims?.length === 3;
    const full = (t: TensorLike) => (batched ? t : { data: t?.data, dims: [1, ...(t?.dims ?? [])] });
    const [b, tq] = checked("q", full(q), [null, null, E]).dims;
    const [, tk] = checked("k", full(k), [b, null, kdim]).dims;
    checked("v", full(v), [b, tk, vdim]);
    const mask = this.#mask(o, [b, H, tq, tk]);
    const self = q === k && k === v && kdim === E && vdim === E;
    const session = await this.#session(mask, is_causal, self);
    const inputs = { q: f32(q), k: self ? undefined : f32(k), v: self ? undefined : f32(v), mask: mask?.data };
    const [out, p] = await attend(session, need_weights ? ["out", "weights"] : ["out"], b, tq, tk, H, inputs);
    const tensor = (data: Float32Array, dims: number[]) => new Tensor(data, batched ? dims : dims.slice(1));
    const weights = p && (average_attn_weights ? tensor(averaged(p, b, H), [b, tq, tk]) : tensor(p, [b, H, tq, tk]));
    return { out: tensor(out, [b, tq, E]), weights };
  }

  #mask({ key_padding_mask, attn_mask }: MultiheadForwardOptions, dims: readonly number[]): Mask | undefined {
    const [b, h, tq, tk] = dims;
    const attn = attn_mask?.dims.length === 3 ? { ...attn_mask, dims: [b, h, tq, tk] } : attn_mask;
    const keys =
      key_padding_mask &&
      checked(
        "key_padding_mask",
        key_padding_mask.dims.length === 1 ? { ...key_padding_mask, dims: [1, tk] } : key_padding_mask,
        [b, tk],
      );
    const first = attn && additive("attn_mask", attn, dims, 0);
    const second = keys && additive("key_padding_mask", { ...keys, dims: [b, 1, 1, tk] }, dims, 0);
    if (!first || !second) return first ?? second;
    const heads = first.dims[1];
    const data = new Float32Array(b * heads * tq * tk);
    const at = (m: Mask, i: number, j: number, q: number, c: number) =>
      m.data[
        ((Math.min(i, m.dims[0] - 1) * m.dims[1] + Math.min(j, m.dims[1] - 1)) * m.dims[2] +
          Math.min(q, m.dims[2] - 1)) *
          tk +
          c
      ];
    let n = 0;
    for (let i = 0; i < b; i++)
      for (let j = 0; j < heads; j++)
        for (let q = 0; q < tq; q++)
          for (let c = 0; c < tk; c++) data[n++] = at(first, i, j, q, c) + at(second, i, j, q, c);
    return { dims: [b, heads, tq, tk], data };
  }

  #session(mask: Mask | undefined, causal: boolean, self: boolean): Promise<Session> {
    const key = `${mask?.dims} ${causal} ${self}`;
    const made = this.#sessions.get(key) ?? this.#load(mask, causal, self);
    this.#sessions.set(key, made);
    made.catch(() => this.#sessions.delete(key));
    return made;
  }

  async #load(mask: Mask | undefined, causal: boolean, self: boolean): Promise<Session> {
    const { embed_dim: E } = this;
    const { kdim = E, vdim = E, out_proj = true } = this.#options;
    const g = new Graph(new Map(Object.entries(this.#linears).map(([name, { dims }]) => [name, { shape: dims }])));
    const q = g.input("q", "T", "f32", E);
    const k = self ? q : g.input("k", "S", "f32", kdim);
    const v = self ? q : g.input("v", "S", "f32", vdim);
    const project = (name: string, x: Value) => linear(g, name, x, E, g.has(`${name}.bias`));
    const options = { heads: this.num_heads, right: causal ? 0 : undefined };
    const { out, probabilities } = buildAttention(
      g,
      project("q_proj", q),
      project("k_proj", k),
      project("v_proj", v),
      mask,
      options,
    );
    const outputs = { out: out_proj ? project("out_proj", out) : out, weights: probabilities };
    return Session.load({ nodes: g.nodes, outputs }, [checkpointOf(this.#linears)], { engine: await sharedEngine() });
  }

  /** Gives the layer's memory back; later calls throw InputError. */
  dispose(): void {
    this.#disposed = true;
    for (const session of this.#sessions.values())
      session.then(
        (s) => s.dispose(),
        () => {},
      );
    this.#sessions.clear();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Whatever form the weights have, as four Linear layers; nothing is copied. */
function linears(
  E: number,
  w: Readonly<Record<string, TensorLike>>,
  { kdim = E, vdim = E, bias = true, out_proj = true }: MultiheadAttentionOptions,
) {
  const out: Record<string, TensorLike> = {};
  const left = new Set(Object.keys(w));
  const missing: string[] = [];
  const take = (name: string, dims: number[], as: string, part?: number) => {
    left.delete(name);
    if (!w[name]) return void missing.push(name);
    const { data } = checked(name, w[name], part === undefined ? dims : [3 * dims[0], ...dims.slice(1)]);
    const size = dims.reduce((a, b) => a * b);
    out[as] = { dims, data: part === undefined ? data : f32({ data, dims }).subarray(part * size, (part + 1) * size) };
  };
  for (const [i, name] of ["q_proj", "k_proj", "v_proj"].entries()) {
    const width = [E, kdim, vdim][i];
    const separate = `${name}.weight` in w;
    if ("in_proj_weight" in w) take("in_proj_weight", [E, E], `${name}.weight`, i);
    else take(separate ? `${name}.weight` : `${name}_weight`, [E, width], `${name}.weight`);
    if (separate ? `${name}.bias` in w : bias)
      take(separate ? `${name}.bias` : "in_proj_bias", [E], `${name}.bias`, separate ? undefined : i);
  }
  if (out_proj) take("out_proj.weight", [E, E], "out_proj.weight");
  if (out_proj && (bias || "out_proj.bias" in w)) take("out_proj.bias", [E], "out_proj.bias");
  if (missing.length || left.size) throw new WeightsError(missing, [...left]);
  return out;
}

/** PyTorch's initialisation: in_proj by Xavier (uniform), out_proj by Kaiming as Linear has it, biases zero. */
function initial(
  E: number,
  { kdim = E, vdim = E, bias = true, out_proj = true, seed = 0 }: MultiheadAttentionOptions,
): Record<string, Tensor> {
  let state = seed;
  // mulberry32: the same weights for a seed on every host
  const random = () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
  const uniform = (dims: number[], bound: number) =>
    new Tensor(
      Float32Array.from({ length: dims[0] * dims[1] }, () => (2 * random() - 1) * bound),
      dims,
    );
  const xavier = (rows: number, cols: number) => uniform([rows, cols], Math.sqrt(6 / (rows + cols)));
  const zeros = (n: number) => new Tensor(new Float32Array(n), [n]);
  const same = kdim === E && vdim === E;
  const projections: Record<string, Tensor> = same
    ? { in_proj_weight: xavier(3 * E, E) }
    : { q_proj_weight: xavier(E, E), k_proj_weight: xavier(E, kdim), v_proj_weight: xavier(E, vdim) };
  const output = out_proj
    ? { "out_proj.weight": uniform([E, E], 1 / Math.sqrt(E)), ...(bias && { "out_proj.bias": zeros(E) }) }
    : {};
  return { ...projections, ...(bias && { in_proj_bias: zeros(3 * E) }), ...output };
}

/** [B, H, n] -> the mean over H. */
function averaged(p: Float32Array, b: number, h: number): Float32Array {
  const n = p.length / (b * h);
  const out = new Float32Array(b * n);
  for (let i = 0; i < p.length; i++) out[Math.floor(i / (h * n)) * n + (i % n)] += p[i] / h;
  return out;
}
