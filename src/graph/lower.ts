import { base } from "./fuse.ts";
import { cached, type Dim, type Dims, type Input, type Node, pad, type Value } from "./graph.ts";
import { Format, Record as Head, Op } from "./op.ts";
import { ops, type Place, type Words } from "./ops.ts";
import { type Buffer, plan } from "./plan.ts";

/** Bytes of a record. */
const RECORD = Head.words * 4;

/** Values that lie in memory between runs: weights, constants, whatever was computed once. */
export interface Residents {
  at(v: Value): number | undefined;
  format(v: Value): Format;
  /** Address of a quantised one's scales. */
  scales(v: Value): number;
}

/** Where the rows of a `cache` node lie between runs. */
export interface Kept {
  at(v: Node): number;
  /** Names this place: it never holds another. */
  readonly key: string;
}

/** The records of one node and what they cost, in floating-point operations or, where those say little, bytes touched. */
export interface Step {
  readonly node: Node;
  readonly first: number;
  readonly last: number;
  readonly rows: number;
  readonly flops: number;
  readonly bytes: number;
}

/** A program for one choice of dims, at one place in memory. */
export interface Bound {
  /** The op list, to be written at `at`. */
  readonly words: Int32Array;
  readonly at: number;
  readonly steps: readonly Step[];
  address(v: Value): number;
  ld(v: Value): number;
}

export const size = (dims: Dims, d: Dim): number => (typeof d === "number" ? d : (dims[d] ?? 0));

/** Floats from row to row: ids, masks and probabilities lie tight, matrices in whole vectors. */
function stride(v: Value | undefined): number {
  const b = v && base(v);
  if (!b) return 0;
  return (b.kind === "input" && b.cols === 1) || (b.kind === "node" && b.op === "tap") ? b.cols : pad(b.cols);
}

export function bytesOf(v: Input | Node, dims: Dims): number {
  const rows = size(dims, v.rows);
  if (v.kind === "input") return (rows + (v.type === "i32" ? 1 : 0)) * stride(v) * 4; // offsets have one more than there are sequences
  return v.op === Op.pack ? pad(rows) * v.cols * 4 : rows * stride(v) * 4;
}

interface Planned {
  dims: Dims;
  offsets: number[];
  bytes: number;
}

/** Lists of ops that are kept, one for each choice of dims: some 10 KB each. */
const KEPT = 8;

const fits = (dims: Dims, into: Dims) =>
  (Object.keys(dims) as (keyof Dims)[]).every((k) => size(dims, k) <= size(into, k));

/** The part of a graph that some outputs need, and its place in memory. Dims are bound again for each run; the list of nodes is not. */
export class Program {
  readonly inputs: Input[] = [];
  readonly #nodes: Node[];
  /** Probabilities that are asked for, by the attention that writes them. */
  readonly #taps = new Map<Value, Node>();
  /** What needs scratch memory, and from which node to which: values, and work areas of nodes. The first one is the op list itself. */
  readonly #lives: { v?: Input | Node; of?: Node; first: number; last: number }[];
  #plan?: Planned;
  #next?: Planned;
  /** What was bound last at this plan, the latest last. */
  readonly #bound = new Map<string, Bound>();

  constructor(
    nodes: readonly Node[],
    outputs: readonly Value[],
    readonly residents: Residents,
  ) {
    const needed = new Set<Value>();
    const need = (v: Value | undefined): void => {
      const b = v && base(v);
      if (!b || needed.has(b) || residents.at(b) !== undefined) return;
      needed.add(b);
      if (b.kind === "input") this.inputs.push(b);
      if (b.kind !== "node") return;
      if (b.op === "tap") this.#taps.set(b.inputs.attention!, b);
      for (const [name, input] of Object.entries(b.inputs)) if (name !== "tap_offsets") need(input);
    };
    for (const v of outputs) need(v);
    for (const attention of this.#taps.keys()) need((attention as Node).inputs.tap_offsets);
    this.#nodes = nodes.filter((n) => needed.has(n) && n.op !== "tap");

    const end = this.#nodes.length;
    const last = new Map<Value, number>();
    this.#nodes.forEach((n, i) => {
      for (const v of Object.values(n.inputs)) if (v) last.set(base(v), i);
    });
    for (const v of outputs) last.set(base(v), end);
    const life = (v: Input | Node, first: number) => ({ v, first, last: last.get(v) ?? first });
    this.#lives = [{ first: 0, last: end }, ...this.inputs.map((v) => life(v, 0))];
    this.#nodes.forEach((n, i) => {
      this.#lives.push(life(n, i));
      const tap = this.#taps.get(n);
      if (tap) this.#lives.push(life(tap, i));
      if (ops[n.op as Op].scratch) this.#lives.push({ of: n, first: i, last: i });
    });
  }

  /** Bytes of scratch that a run at these dims needs, planned for them alone. */
  bytes(dims: Dims): number {
    return this.#layout(dims).bytes;
  }

  /** Bytes that the next `bind` takes: a plan that was made for larger dims stays, so that lengths may change without planning again. */
  reserve(dims: Dims): number {
    this.#next = this.#plan && fits(dims, this.#plan.dims) ? this.#plan : this.#layout(dims);
    return this.#next.bytes;
  }

  #layout(dims: Dims): Planned {
    const nowhere = {
      at: () => 0,
      ld: stride,
      size: (d: Dim) => size(dims, d),
      format: () => Format.rows,
      scales: () => 0,
    };
    const list = this.#emit(nowhere, () => 0).records.length * RECORD;
    const buffers: Buffer[] = this.#lives.map(({ v, of, first, last }) => {
      // What the prologue computes is resident by now, though it was not when the program was made.
      const home = v && (this.residents.at(v) !== undefined || cached(v));
      const bytes = home ? 0 : v ? bytesOf(v, dims) : of ? ops[of.op as Op].scratch!(of, nowhere.size) : list;
      return { bytes, first, last };
    });
    return { dims, ...plan(buffers) };
  }

  #emit(place: Omit<Place, "scratch">, scratch: (n: Node) => number) {
    const records: { node: Node; words: Words }[] = [];
    // An encoder whose rows stay from an earlier run has none in this one.
    const some = this.#nodes.filter((node) => place.size(node.rows) > 0);
    const steps: Step[] = some.map((node) => {
      const first = records.length;
      const tap = this.#taps.get(node);
      const full = tap ? { ...node, inputs: { ...node.inputs, tap } } : node;
      const { emit, flops } = ops[node.op as Op];
      const words = emit(full, { ...place, scratch: scratch(node) });
      for (const w of Array.isArray(words) ? words : [words]) records.push({ node, words: w });
      const rows = place.size(node.rows);
      let bytes = rows * node.cols * 4;
      // Of a table an op touches as many rows as it writes.
      for (const name in full.inputs) {
        const v = full.inputs[name];
        if (v) bytes += (name === "table" ? rows : place.size(v.rows)) * v.cols * 4;
      }
      return { node, first, last: records.length, rows, flops: flops?.(node, place.size) ?? 0, bytes };
    });
    return { records, steps };
  }

  /** The op list for these dims, with scratch from byte `from` (aligned) on. An input that is `absent` is a null pointer. */
  bind(dims: Dims, from: number, residents: Residents, absent = (_: Input) => false, kept?: Kept): Bound {
    if (!this.#next || !fits(dims, this.#next.dims)) this.reserve(dims);
    if (this.#plan !== this.#next) this.#bound.clear();
    this.#plan = this.#next!; // kept only now: a plan that memory had no room for binds nothing
    const sizes = Object.entries(dims).map(([name, n]) => `${name}${n}`);
    const key = [...sizes, from, kept?.key, ...this.inputs.map((v) => +absent(v))].join();
    const bound = this.#bound.get(key) ?? this.#bind(this.#plan, dims, from, residents, absent, kept);
    this.#bound.delete(key);
    this.#bound.set(key, bound);
    if (this.#bound.size > KEPT) this.#bound.delete(this.#bound.keys().next().value!);
    return bound;
  }

  #bind(
    { offsets }: Planned,
    dims: Dims,
    from: number,
    residents: Residents,
    absent: (v: Input) => boolean,
    kept?: Kept,
  ): Bound {
    const addresses = new Map<Value, number>();
    const scratches = new Map<Node, number>();
    this.#lives.forEach(({ v, of }, i) => {
      if (v)
        addresses.set(
          v,
          v.kind === "input" && absent(v) ? 0 : cached(v) && kept ? kept.at(v as Node) : from + offsets[i],
        );
      if (of) scratches.set(of, from + offsets[i]);
    });
    const at = (v: Value | undefined): number =>
      v?.kind === "view" ? at(v.of) + v.offset * 4 : v ? (residents.at(v) ?? addresses.get(v) ?? 0) : 0;
    const place = {
      at,
      ld: stride,
      size: (d: Dim) => size(dims, d),
      format: (v: Value) => residents.format(v),
      scales: (v: Value) => residents.scales(v),
    };
    const { records, steps } = this.#emit(place, (n) => scratches.get(n) ?? 0);
    const list = new Int32Array(records.length * Head.words);
    records.forEach(({ node, words }, i) => {
      const record = list.subarray(i * Head.words, (i + 1) * Head.words);
      record[Head.op] = node.op as Op;
      record[Head.rows] = place.size(node.rows);
      record[Head.out] = at(node);
      for (let k = 0; k < Head.words; k++) record[k] = words[k] ?? record[k];
    });
    return { words: list, at: from + offsets[0], steps, address: at, ld: stride };
  }
}
