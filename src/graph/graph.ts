import { FormatError, ShapeError, UnsupportedOptionError } from "../errors.ts";
import { Activation, Binary, Op, type Pooling, Unbounded } from "./op.ts";

/** What of a side is counted: T rows, B sequences, P attention probabilities of one layer, X those of its queries over another side's keys,
 * S rows of keys where they are not the queries', R floats of a mask or rows of another input that is as long as the host says. */
type Axis = "T" | "B" | "P" | "S" | "R" | "X";
/** A size known now, or the name of one known when inputs come: of the graph's own side, or of another (`encoder.T`). */
export type Dim = number | Axis | `${string}.${Axis}`;
/** What is not there is 0. */
export type Dims = Readonly<
  Record<Exclude<Axis, "X">, number> & { X?: number; [other: `${string}.${Axis}`]: number | undefined }
>;

/** The side that rows belong to; "" is the graph's own. */
export const sideOf = (d: Dim): string => (typeof d === "string" && d.includes(".") ? d.slice(0, d.indexOf(".")) : "");

/** Another size of the same side. */
export const beside = (d: Dim, axis: Axis): Dim => (sideOf(d) ? `${sideOf(d)}.${axis}` : axis);

/** Host data that a program reads by this name: written before each run. */
export type InputName = string;

interface Base {
  readonly rows: Dim;
  readonly cols: number;
}
/** What the host writes before a run. An input that the host leaves out is a null pointer. */
export interface Input extends Base {
  readonly kind: "input";
  readonly name: InputName;
  readonly type: "i32" | "f32";
}
/** A tensor of the checkpoint, `rows` × `cols`; a vector has one row. `transposed`: stored [cols, rows] (Conv1D). */
export interface Weight extends Base {
  readonly kind: "weight";
  readonly rows: number;
  readonly name: string;
  readonly transposed: boolean;
  /** Of a convolution's [out, in, kernel], whose rows are turned to [kernel, in], as `unfold` lays out what they meet; else 1. */
  readonly kernel: number;
  /** Its first row in the file, where it is a part of a tensor. */
  readonly from: number;
  /** Block i of the file's rows (of a vector's numbers), `size` each, lies at block to[i]. */
  readonly blocks: Blocks | undefined;
}
export interface Blocks {
  readonly size: number;
  readonly to: readonly number[];
}
/** Numbers computed by the host when the graph is built. */
export interface Constant extends Base {
  readonly kind: "constant";
  readonly rows: number;
  readonly data: Float32Array | Int32Array;
}
/** Columns `offset` … `offset + cols` of another value. */
export interface View extends Base {
  readonly kind: "view";
  readonly of: Value;
  readonly offset: number;
}
/** Weights one under the other as one matrix (sibling projections after fusion), or one vector; undefined parts are zeros. */
export interface Stack extends Base {
  readonly kind: "stack";
  readonly rows: number;
  readonly parts: readonly { readonly weight: Weight | undefined; readonly size: number }[];
}
/** An op's result. Its inputs have the names of the op's pointer arguments. */
export interface Node extends Base {
  readonly kind: "node";
  readonly op: Op | "tap";
  readonly inputs: Readonly<Record<string, Value | undefined>>;
  readonly attrs: Readonly<Record<string, number>>;
  /** True when it needs no input: computed once, when the model is loaded. */
  readonly constant: boolean;
}
export type Value = Input | Weight | Constant | View | Stack | Node;

/** A checkpoint's tensors by name, as far as headers tell: what a graph may ask for. */
export interface Shapes {
  get(name: string): { readonly shape: readonly number[] } | undefined;
}

export interface AttentionOptions {
  heads: number;
  kv_heads?: number;
  scale?: number;
  softcap?: number;
  /** A key is seen when -left ≤ key position - query position ≤ right. Default: everywhere. */
  left?: number;
  right?: number;
  /** Floats [sequence, head, query, key] added to the scores of sequences of equal length, tight. */
  mask?: Value;
  /** Which of sequence, head and query `mask` has an axis for; it holds for all of those that it has none for. */
  mask_axes?: readonly boolean[];
  /** One row, [2 · span + 1] a head: added to the scores by key position - query position. */
  bias?: Value;
  slopes?: Value;
  sinks?: Value;
  /** Disentangled terms of DeBERTa: c2p and p2c are [rows, heads · ld]. */
  relative?: { c2p?: Value; p2c?: Value; ld: number; index: Value; span: number };
  /** Sizes of keys' sequences differ from queries' (cross-attention): names of the offset and position inputs. */
  k_offsets?: Value;
  /** Where the rows of each sequence of queries begin, if not where the sequence does. */
  q_offsets?: Value;
}

/** Some thousand layers: what a lying config may cost. */
const MOST_NODES = 1 << 15;

/** Builds a model's graph. Every value is a matrix of f32 (or a column of i32) with rows that may be symbolic; nothing is computed here. */
export class Graph {
  readonly #weights: Map<string, Weight>;
  readonly #inputs: Map<string, Input>;
  /** In the order of their making, which is an order of execution. */
  readonly nodes: Node[];

  /** `of` and `scope`: see `side`. */
  constructor(
    readonly shapes: Shapes,
    of?: Graph,
    readonly scope = "",
  ) {
    this.#weights = of ? of.#weights : new Map();
    this.#inputs = of ? of.#inputs : new Map();
    this.nodes = of?.nodes ?? [];
  }

  /**
   * This graph as a part of a model builds in it that has rows and inputs of its own: its T is `name.T`, its input_ids `name_input_ids`.
   * So an encoder is written once, and is the whole model or the encoder of one.
   */
  side(name: string): Graph {
    return new Graph(this.shapes, this, name);
  }

  #dim(d: Dim): Dim {
    return this.scope && typeof d === "string" && !sideOf(d) ? `${this.scope}.${d as Axis}` : d;
  }

  has(name: string): boolean {
    return this.shapes.get(name) !== undefined;
  }

  /** What the host writes: by the name of the side that its rows belong to, then its own. */
  input(name: InputName, rows: Dim, type: "i32" | "f32" = "i32", cols = 1): Input {
    const own = this.#dim(rows);
    const side = typeof own === "number" ? this.scope : sideOf(own);
    const full = side ? `${side}_${name}` : name;
    const input: Input = this.#inputs.get(full) ?? { kind: "input", name: full, rows: own, cols, type };
    this.#inputs.set(full, input);
    return input;
  }

  /**
   * A tensor of the checkpoint, or `rows` of its rows from row `from` on (a tensor of matrices: rows of its last dim), or one whose
   * blocks of rows lie in another order than in the file. @throws ShapeError if its dims differ, FormatError if it is missing (see WeightsError in load)
   */
  weight(
    name: string,
    dims: readonly number[],
    transposed = false,
    { from = 0, rows, blocks }: { from?: number; rows?: number; blocks?: Blocks } = {},
  ): Weight {
    const key = from || rows ? `${name}[${from}]` : name;
    const known = this.#weights.get(key);
    const shape = known ? undefined : this.shapes.get(name)?.shape;
    if (shape && (shape.length !== dims.length || shape.some((d, i) => d !== dims[i])))
      throw new ShapeError(name, dims, shape);
    // Tables and single rows of vision models begin with axes of size 1.
    const ones = dims.findIndex((d) => d !== 1);
    const axes = dims.slice(Math.max(0, Math.min(dims.length - 2, ones)));
    const [first, ...rest] = axes.length < 2 ? [1, ...axes] : axes;
    const taken = rows ?? first;
    const width = rows ? dims.at(-1)! : rest.reduce((a, b) => a * b, 1);
    const matrix = transposed ? [width, taken] : [taken, width];
    if (known && (known.rows !== matrix[0] || known.cols !== matrix[1]))
      throw new FormatError(name, "is used in two shapes");
    const weight: Weight = known ?? {
      kind: "weight",
      name,
      rows: matrix[0],
      cols: matrix[1],
      transposed,
      kernel: axes.length === 3 && !rows ? axes[2] : 1,
      from,
      blocks,
    };
    if (!known) this.#weights.set(key, weight);
    return weight;
  }

  /** Rows of weights one under the other, or, without `cols`, vectors as one; a number stands for so many rows (numbers) of zeros. */
  stack(parts: readonly (Weight | number)[], cols?: number): Stack {
    const all = parts.map((p) =>
      typeof p === "number" ? { weight: undefined, size: p } : { weight: p, size: cols ? p.rows : p.cols },
    );
    const size = all.reduce((n, p) => n + p.size, 0);
    return { kind: "stack", parts: all, rows: cols ? size : 1, cols: cols ?? size };
  }

  constant(data: Float32Array | Int32Array, rows = 1): Constant {
    return { kind: "constant", data, rows, cols: data.length / rows };
  }

  /** @throws UnsupportedOptionError if a config asks for more ops than any model has */
  node(op: Node["op"], rows: Dim, cols: number, inputs: Node["inputs"], attrs: Node["attrs"] = {}): Node {
    if (this.nodes.length >= MOST_NODES) throw new UnsupportedOptionError("ops", "more", [`up to ${MOST_NODES}`]);
    const node: Node = {
      kind: "node",
      op,
      rows: this.#dim(rows),
      cols,
      inputs,
      attrs,
      constant: Object.values(inputs).every((v) => !v || isConstant(v)),
    };
    this.nodes.push(node);
    return node;
  }

  /** x · Wᵀ + b, W as PyTorch's Linear holds it: [n, k]. */
  linear(x: Value, weight: Value, bias?: Value): Node {
    if (weight.cols !== x.cols)
      throw new ShapeError("linear", [weight.rows, x.cols], [weight.rows as number, weight.cols]);
    return this.node(Op.matmul, x.rows, weight.rows as number, { a: x, b: weight, bias });
  }

  /** Rows of `table` picked by `ids`. */
  embed(ids: Value, table: Value, scale = 1): Node {
    return this.node(Op.embed, ids.rows, table.cols, { ids, table }, { scale });
  }

  layerNorm(x: Value, weight: Value | undefined, bias: Value | undefined, eps: number): Node {
    return this.node(Op.layer_norm, x.rows, x.cols, { x, weight, bias }, { eps });
  }

  /** Of each row, or of each of `groups` equal parts of it. */
  rmsNorm(x: Value, weight: Value, eps: number, offset = 0, groups = 1): Node {
    return this.node(Op.rms_norm, x.rows, x.cols, { x, weight }, { eps, offset, groups });
  }

  /** cap · tanh(x / cap). */
  softcap(x: Value, cap: number): Node {
    return this.node(Op.unary, x.rows, x.cols, { x }, { kind: Activation.softcap, eps: cap });
  }

  /**
   * Rows of x, which a run with a state writes there beside those of earlier runs: what `attention` reads as keys or values. `left` of
   * that attention, where it has one, lets the state forget what no later query sees.
   */
  cache(x: Value, left = Unbounded.value): Node {
    const window = left < Unbounded.value ? left + 1 : 0;
    const index = this.input(`cache_rows${windowed(window)}`, x.rows);
    return this.node(Op.scatter, x.rows, x.cols, { x, index }, { window });
  }

  activation(x: Value, kind: Activation): Value {
    return kind === Activation.none ? x : this.node(Op.unary, x.rows, x.cols, { x }, { kind });
  }

  /** activation(gate) · up. */
  glu(gate: Value, up: Value, kind: Activation): Node {
    return this.node(Op.glu, gate.rows, gate.cols, { gate, up }, { kind });
  }

  add(a: Value, b: Value): Node {
    return this.#binary(a, b, Binary.add);
  }

  mul(a: Value, b: Value): Node {
    return this.#binary(a, b, Binary.mul);
  }

  #binary(a: Value, b: Value, kind: Binary): Node {
    if (a.cols !== b.cols) throw new ShapeError("operand", [a.rows, a.cols], [b.cols]);
    return this.node(Op.binary, a.rows, a.cols, { a, b }, { kind });
  }

  /** Columns of `x`, without a copy. */
  columns(x: Value, offset: number, cols: number): View {
    return x.kind === "view"
      ? { ...x, offset: x.offset + offset, cols }
      : { kind: "view", of: x, offset, rows: x.rows, cols };
  }

  /** Values side by side. */
  concat(parts: readonly Value[]): Value {
    if (parts.length === 1) return parts[0];
    const inputs = Object.fromEntries(parts.map((p, i) => [`x${i}`, p]));
    return this.node(
      Op.copy,
      parts[0].rows,
      parts.reduce((n, p) => n + p.cols, 0),
      inputs,
    );
  }

  /** The table of cos and sin that `rotary` reads, a row for each position (arXiv:2104.09864). */
  rotaryTable(positions: Value, inv_freq: Value, scale = 1): Node {
    const half = inv_freq.cols;
    return this.node(Op.rotary_table, positions.rows, 2 * half, { positions, inv_freq }, { half, scale });
  }

  rotary(x: Value, table: Value, heads: number, interleaved = false): Node {
    const attrs = { heads, head_dim: x.cols / heads, half: table.cols / 2, interleaved: +interleaved };
    return this.node(Op.rotary, x.rows, x.cols, { x, table }, attrs);
  }

  /** One attention over ragged sequences, or over those of another side (cross-attention): that is where k's rows say so. Returns what it gives and its probabilities, which cost nothing unless they are asked for. */
  attention(q: Value, k: Value, v: Value, o: AttentionOptions): { out: Node; probabilities: Node } {
    const kv_heads = o.kv_heads ?? o.heads;
    if (q.cols % o.heads) throw new UnsupportedOptionError("heads", o.heads, [`divisors of ${q.cols}`]);
    const head_dim = q.cols / o.heads,
      value_dim = v.cols / kv_heads;
    const B = beside(q.rows, "B");
    const cross = sideOf(q.rows) !== sideOf(k.rows);
    const placed = !o.k_offsets && !cross;
    const q_offsets = o.q_offsets ?? this.input("offsets", B);
    // Rows of a state, or of another side, lie where the layout for them says.
    const suffix = cached(k) ? windowed((k as Node).attrs.window) : "";
    const where = (name: string) => this.input(`${cross ? "cross" : "k"}_${name}${suffix}`, B);
    const out = this.node(
      Op.attention,
      q.rows,
      o.heads * value_dim,
      {
        q,
        k,
        v,
        q_offsets,
        k_offsets: o.k_offsets ?? (cross || cached(k) ? where("offsets") : q_offsets),
        k_ends: cached(k) ? where("ends") : undefined,
        mask: o.mask,
        bias: o.bias,
        slopes: o.slopes,
        sinks: o.sinks,
        q_positions: placed ? this.input("index", q.rows) : undefined,
        k_positions: placed ? this.input("key_index", k.rows) : undefined,
        c2p: o.relative?.c2p,
        p2c: o.relative?.p2c,
        rel_index: o.relative?.index,
        tap_offsets: this.input(cross ? "cross_tap_offsets" : "tap_offsets", B),
      },
      {
        heads: o.heads,
        kv_heads,
        head_dim,
        value_dim,
        scale: o.scale ?? 1 / Math.sqrt(head_dim),
        softcap: o.softcap ?? 0,
        left: Math.min(o.left ?? Unbounded.value, Unbounded.value),
        right: Math.min(o.right ?? Unbounded.value, Unbounded.value),
        mask_batch: +!!o.mask_axes?.[0],
        mask_head: +!!o.mask_axes?.[1],
        mask_query: +!!o.mask_axes?.[2],
        rel_ld: o.relative?.ld ?? 0,
        rel_span: o.relative?.span ?? 0,
      },
    );
    return { out, probabilities: this.node("tap", beside(q.rows, cross ? "X" : "P"), o.heads, { attention: out }) };
  }

  /** One row for each sequence. */
  pool(x: Value, mode: Pooling): Node {
    return this.node(
      Op.pool,
      "B",
      x.cols,
      { x, offsets: this.input("offsets", "B"), visible: this.input("pool_mask", "T") },
      { mode },
    );
  }

  /** Each row divided by its L2 norm, as torch.nn.functional.normalize does. */
  normalize(x: Value, eps = 1e-12): Node {
    return this.node(Op.normalize, x.rows, x.cols, { x }, { eps });
  }

  softmax(x: Value): Node {
    return this.node(Op.softmax, x.rows, x.cols, { x });
  }

  /** For each head the products of x's part with the rows of r's: out[t, head · ld + j] = x[t, head] · r[j, head], ld = r's rows rounded up to 8. */
  headProducts(x: Value, r: Value, heads: number): Node {
    const ld = pad(r.rows as number);
    const b = this.node(Op.pack, r.rows, r.cols, { x: r }, { heads });
    return this.node(Op.matmul, x.rows, heads * ld, { a: x, b }, { heads });
  }

  /** The k largest of each row, best first: k values, and from column cols / 2 on where they stand (i32). */
  topK(x: Value, k: number): Node {
    return this.node(Op.top_k, x.rows, 2 * pad(k), { x }, { k });
  }

  /**
   * A mixture of experts: Σ weights · down(activation(gate) · up) over the experts that `index` names for each row, `inner` columns between.
   * `up` holds gates and ups of each expert, `down` what follows, in whole panels; a `limit`: see assembly/kernels/experts.ts.
   */
  experts(
    x: Value,
    weights: Value,
    index: Value,
    { up, down, up_bias, down_bias }: { up: Value; down: Value; up_bias?: Value; down_bias?: Value },
    attrs: { experts: number; inner: number; kind: Activation; limit: number },
  ): Node {
    return this.node(Op.experts, x.rows, x.cols, { x, weights, index, up, down, up_bias, down_bias }, attrs);
  }

  /** Rows `-before` … `width - before - 1` around each row, side by side: what a convolution over time multiplies. `rows`: of what is no tokens. */
  unfold(x: Value, width: number, before: number, rows?: { readonly offsets: Value }): Node {
    const tokens = () => ({
      offsets: this.input("offsets", beside(x.rows, "B")),
      visible: this.input("visible", x.rows),
    });
    const inputs = { x, ...(rows ?? tokens()) };
    return this.node(Op.unfold, x.rows, x.cols * width, inputs, { width, before });
  }
}

/** Floats from one row to the next of a matrix of `cols` columns: whole 32-byte vectors, the rest zero. */
export function pad(cols: number): number {
  return (cols + 7) & ~7;
}

/** What names of inputs that tell where rows of a state lie end in: layers that see a window keep other rows than those that see all. */
export const windowed = (window: number): string => (window ? `_${window}` : "");

/** Whether a run with a state keeps this value. */
export const cached = (v: Value): boolean => v.kind === "node" && v.op === Op.scatter;

export function isConstant(v: Value): boolean {
  return (
    v.kind === "weight" ||
    v.kind === "constant" ||
    v.kind === "stack" ||
    (v.kind === "view" ? isConstant(v.of) : v.kind === "node" && v.constant)
  );
}
