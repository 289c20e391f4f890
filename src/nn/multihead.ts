import { InputError, UnsupportedOptionError, WeightsError } from "../errors.ts";
import { checkpointOf } from "../format/tensors.ts";
import { Graph, type Value } from "../graph/graph.ts";
import { whole } from "../options.ts";
import type { Session } from "../runtime/session.ts";
import { Tensor, type TensorLike } from "../tensor.ts";
import {
  additive,
  attend,
  axesOf,
  buildAttention,
  checked,
  f32,
  type LayerOptions,
  load,
  type Mask,
} from "./attention.ts";
import { linear } from "./blocks.ts";

export interface MultiheadAttentionOptions extends LayerOptions {
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

  /** @throws UnsupportedOptionError if a size is none or num_heads does not divide embed_dim, ShapeError if a weight has other dims, WeightsError if one is missing */
  constructor(
    readonly embed_dim: number,
    readonly num_heads: number,
    options: MultiheadAttentionOptions = {},
  ) {
    const { kdim = embed_dim, vdim = embed_dim } = options;
    for (const [name, n] of Object.entries({ embed_dim, num_heads, kdim, vdim })) whole(name, n);
    if (embed_dim % num_heads)
      throw new UnsupportedOptionError("num_heads", num_heads, [`a divisor of embed_dim ${embed_dim}`]);
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

  #mask(
    { key_padding_mask: keys, attn_mask: attn }: MultiheadForwardOptions,
    dims: readonly number[],
  ): Mask | undefined {
    const [b, h, tq, tk] = dims;
    const each = attn?.dims?.length === 3 && checked("attn_mask", attn, [b * h, tq, tk]);
    const pairs = each ? { data: each.data, dims: [b, h, tq, tk] } : attn;
    if (keys) checked("key_padding_mask", keys, keys.dims?.length === 1 && b === 1 ? [tk] : [b, tk]);
    return additive(
      [
        { name: "attn_mask", mask: pairs, sees: 0 },
        { name: "key_padding_mask", mask: keys && { data: keys.data, dims: [b, 1, 1, tk] }, sees: 0 },
      ],
      dims,
    );
  }

  #session(mask: Mask | undefined, causal: boolean, self: boolean): Promise<Session> {
    const key = `${mask && axesOf(mask)} ${causal} ${self}`;
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
    return load(g, outputs, [checkpointOf(this.#linears)], this.#options);
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
