import { FormatError, ShapeError, UnsupportedOptionError, WeightsError } from "../errors.ts";
import type { Checkpoint, CheckpointTensor } from "../format/checkpoint.ts";
import type { Packed } from "../format/packed.ts";
import type { StreamOptions, Target } from "../format/safetensors.ts";
import { base } from "../graph/fuse.ts";
import { type Constant, type Node, pad, type Stack, type Value, type Weight } from "../graph/graph.ts";
import type { Residents } from "../graph/lower.ts";
import { Dtype, Format, Op, Quantized } from "../graph/op.ts";
import { rowBytes } from "../graph/ops.ts";
import { align } from "../graph/plan.ts";
import { entry } from "../options.ts";
import { platform } from "../platform.ts";
import type { Engine } from "./engine.ts";

/** What a model's weights may be kept as. */
export type WeightDtype = "f32" | "q8" | "q8-exact" | "q4";

/** Of matrices that are multiplied, and of tables whose rows are only picked, which need no bounds on sums. */
const FORMATS: { readonly [D in WeightDtype]: [product: Format, table: Format] } = {
  f32: [Format.panels, Format.rows],
  q8: [Format.q8, Format.q8_exact],
  "q8-exact": [Format.q8_exact, Format.q8_exact],
  q4: [Format.q4, Format.q4],
};

/** What the language head of a model in q4 is kept as: its errors reach every answer (docs/decisions/0019). */
const HEAD = Format.q8;

export const isDtype = (name: string): name is WeightDtype => Object.hasOwn(FORMATS, name);

/** Matrices of fewer rows stay f32: classifiers and the like, which decide an answer and weigh nothing. */
const SMALL = 32;

/** A matrix in memory. */
interface Home {
  readonly at: number;
  readonly format: Format;
  /** Address of a quantised matrix's scales. */
  readonly scales: number;
}

/** Where a tensor of the checkpoint lands: from row `first` of a matrix on. */
interface Landing extends Home {
  readonly weight: Weight;
  readonly first: number;
}

/** Weights that lie together, from `at` on, with all that pads them. */
export interface Image {
  /** The names of the checkpoint's tensors in it; 0 for rows of zeros. */
  readonly name: string;
  readonly at: number;
  readonly bytes: number;
  readonly quantized: boolean;
}

/** Constants last: a packed file holds what lies before them, in this order. */
const ORDER = { stack: 0, weight: 1, constant: 2 };

/** Bytes read at once while weights load, or a row where that is more. */
const WINDOW = 1 << 18;
const DTYPES: { readonly [name: string]: [kind: Dtype, bytes: number] } = {
  F32: [Dtype.f32, 4],
  F16: [Dtype.f16, 2],
  BF16: [Dtype.bf16, 2],
};

/** The weights and constants of a graph, and where each lies from byte `base` on: known from the graph and the dtype alone. */
export class Weights implements Residents {
  readonly #homes = new Map<Value, Home>();
  readonly #landings = new Map<string, Landing[]>();
  readonly #constants: Constant[] = [];
  #windows = 0;
  /** All weights, one behind the other from byte `from` on. */
  readonly images: Image[] = [];
  /** Whether some are kept in integers. */
  readonly quantized: boolean;
  /** First byte behind them. */
  readonly end: number;
  /** Bytes of the window through which they load. */
  window = WINDOW;

  /** @throws UnsupportedOptionError if there is no such dtype */
  constructor(
    nodes: readonly Node[],
    readonly from: number,
    dtype: WeightDtype = "f32",
  ) {
    const [product, table] = entry(FORMATS, dtype, "dtype");
    const uses = new Map<Weight | Stack | Constant, "product" | "table" | "other">();
    // Both matrices of a mixture are of one format, so one of few rows keeps the other f32.
    const small = new Set<Value>();
    for (const n of nodes) {
      const { up, down } = n.op === Op.experts ? n.inputs : {};
      if (up && down && Math.min(up.rows as number, down.rows as number) < SMALL) small.add(up).add(down);
      for (const [name, input] of Object.entries(n.inputs)) {
        const v = input && base(input);
        if (!v || v.kind === "node" || v.kind === "input") continue;
        // A table that is also a projection (tied embeddings) lies once, in the format that serves both; other ops read plain rows.
        if ((n.op === Op.matmul && name === "b") || (n.op === Op.experts && (name === "up" || name === "down")))
          uses.set(v, "product");
        else if (n.op === Op.embed && name === "table") uses.set(v, uses.get(v) ?? "table");
        else if (uses.get(v) !== "product") uses.set(v, "other");
      }
    }
    // As many rows and columns as the largest table: tied to it, or its like.
    const tables = nodes.flatMap(({ op, inputs }) =>
      op === Op.embed && inputs.table?.kind === "weight" ? [inputs.table] : [],
    );
    const words = tables.reduce<Weight | undefined>((a, b) => (a && a.rows >= b.rows ? a : b), undefined);
    const isHead = ({ rows, cols }: { rows: unknown; cols: number }) =>
      dtype === "q4" && rows === words?.rows && cols === words?.cols;
    const formats = new Map(
      Array.from(uses, ([v, use]) => {
        const whole = v.kind === "constant" || v.rows < SMALL || small.has(v);
        const format =
          use === "product"
            ? whole
              ? Format.panels
              : isHead(v)
                ? HEAD
                : product
            : whole || use === "other"
              ? Format.rows
              : table;
        return [v, format];
      }),
    );
    let at = align(from);
    for (const v of [...formats.keys()].sort((a, b) => ORDER[a.kind] - ORDER[b.kind])) {
      if (this.#homes.has(v)) continue;
      const format = formats.get(v)!;
      const home = { at, format, scales: align(at + bytesOf(v, format)) };
      this.#homes.set(v, home);
      if (v.kind === "constant") this.#constants.push(v);
      if (v.kind === "weight") this.#land({ ...home, weight: v, first: 0 });
      if (v.kind === "stack") {
        let first = 0;
        for (const { weight, size } of v.parts) {
          // Of a vector, floats are what rows are of a matrix.
          const row = format || v.rows === 1 ? rowOf(v, format) : pad(v.cols) * 4;
          if (weight) this.#land({ ...home, weight, ...(format ? { first } : { at: at + first * row, first: 0 }) });
          // A weight that is also used by itself lies nowhere else, if its vectors are whole here.
          if (weight && !((first | size) & 7) && format === formats.get(weight))
            this.#homes.set(weight, {
              at: at + first * row,
              format,
              scales: home.scales + first * Quantized.scales,
            });
          first += size;
        }
      }
      const quantized = format >= Format.q8;
      at = quantized ? align(home.scales + pad(v.rows) * Quantized.scales) : home.scales;
      if (v.kind !== "constant") this.images.push({ name: nameOf(v), at: home.at, bytes: at - home.at, quantized });
    }
    this.end = at;
    this.quantized = this.images.some(({ quantized }) => quantized);
  }

  #land(landing: Landing): void {
    const { weight, format } = landing;
    const row = 4 * widthOf(weight);
    const file = weight.transposed ? 4 * weight.rows * weight.cols : row; // what must be there at once
    const room = format >= Format.q8 ? 2 * align(Math.max(WINDOW, file)) + 4 * rowOf(weight, Format.q8) + file : row;
    this.window = Math.max(this.window, room);
    this.#landings.set(weight.name, [...(this.#landings.get(weight.name) ?? []), landing]);
  }

  at(v: Value): number | undefined {
    return this.#homes.get(v)?.at;
  }

  format(v: Value): Format {
    return this.#homes.get(v)?.format ?? Format.rows;
  }

  scales(v: Value): number {
    return this.#homes.get(v)?.scales ?? 0;
  }

  /** Puts the result of a constant node at `at`. */
  place(v: Node, at: number): void {
    this.#homes.set(v, { at, format: Format.rows, scales: 0 });
  }

  /**
   * Streams the checkpoints' tensors into the engine's memory, a window at a time, through a window behind the weights.
   * @throws WeightsError if tensors are missing, or left over and not matched by `ignore`
   */
  async load(
    engine: Engine,
    checkpoints: readonly Checkpoint[],
    ignore: RegExp,
    options: StreamOptions,
  ): Promise<void> {
    const unexpected: string[] = [];
    const found = new Set<string>();
    for (const { tensors } of checkpoints) {
      for (const { name, dtype } of tensors.values()) {
        const used = this.#landings.has(name);
        if (used) found.add(name);
        else if (!ignore.test(name)) unexpected.push(name);
        if (used && !DTYPES[dtype]) throw new UnsupportedOptionError(`dtype of ${name}`, dtype, Object.keys(DTYPES));
      }
    }
    const missing = [...this.#landings.keys()].filter((name) => !found.has(name));
    if (missing.length || unexpected.length) throw new WeightsError(missing, unexpected);
    const used = Math.min(engine.memory.bytes, this.end);
    engine.memory.ensure(engine.top + this.window);
    // What is not written is padding, zero; so is memory that is new, and touching it costs more than filling it.
    engine.memory.u8(this.from, Math.max(0, used - this.from)).fill(0);
    this.#compute(engine);
    for (const c of checkpoints) await c.stream((info) => this.#target(engine, info), options);
  }

  /**
   * The same from a packed file, straight to where they lie, in a memory of `room` bytes.
   * @throws WeightsError as `load` does, ShapeError if a tensor has other than its bytes
   */
  async read(engine: Engine, packed: Packed, room: number, ignore: RegExp, options: StreamOptions): Promise<void> {
    const { images } = this;
    const places = new Map(images.map((image) => [image.name, image]));
    const { tensors } = packed;
    const missing = images.filter(({ name }) => !tensors.has(name)).map(({ name }) => name);
    const unexpected = [...tensors.keys()].filter((name) => !places.has(name) && !ignore.test(name));
    if (missing.length || unexpected.length) throw new WeightsError(missing, unexpected);
    for (const { name, bytes } of images) {
      const { begin, end } = tensors.get(name)!;
      if (end - begin !== bytes) throw new ShapeError(`${packed.file}: ${name}, in bytes`, [bytes], [end - begin]);
    }
    if (places.size < images.length) throw new FormatError(packed.file, "has two matrices of one name");
    engine.memory.ensure(room);
    const constants = images.reduce((end, { at, bytes }) => Math.max(end, at + bytes), this.from);
    engine.memory.u8(constants, this.end - constants).fill(0);
    this.#compute(engine);
    await packed.read(
      ({ name }) => places.get(name)?.at,
      (at, length) => engine.memory.u8(at, length),
      options,
    );
  }

  #compute({ memory }: Engine): void {
    // Ids lie tight, rows of a table in whole vectors.
    for (const c of this.#constants) memory.write(this.at(c)!, c.data, c.cols, c.cols > 1 ? pad(c.cols) : 1);
  }

  #target(engine: Engine, info: CheckpointTensor): Target | undefined {
    const landings = this.#landings.get(info.name);
    if (!landings) return;
    const [dtype, size] = DTYPES[info.dtype];
    const { weight } = landings[0];
    const width = widthOf(weight);
    const bytes = width * size;
    const quantized = landings.some(({ format }) => format >= Format.q8);
    const capacity = Math.max(1, Math.floor(WINDOW / (quantized ? width * 4 : bytes)));
    const whole = quantized && weight.transposed; // a scale is known once a whole column is
    const rows = whole ? weight.cols : capacity > 8 ? capacity & ~7 : capacity;
    const window = engine.top;
    let row = 0;
    return {
      window: () => engine.memory.u8(window, rows * bytes),
      flush: (filled) => {
        const n = filled / bytes;
        if (weight.kernel > 1) turn(engine.memory.u8(window, filled), size, width, weight.kernel);
        for (const landing of landings) {
          for (const run of runs(landing.weight, row, n)) {
            const at = window + (run.row - row) * bytes;
            if (landing.format >= Format.q8)
              quantize(engine, landing, at, align(window + rows * bytes), run.to, run.n, dtype);
            else place(engine, landing, at, run.to, run.n, dtype);
          }
        }
        row += n;
        // What comes from memory never waits for anything, so the event loop is given its turn here. Integers take 2 to 10 ms a window.
        this.#windows = (this.#windows + 1) % 32;
        return this.#windows && !quantized ? undefined : platform().pause();
      },
    };
  }
}

/** Turns rows [in, kernel] of numbers of `size` bytes, `width` in all, into [kernel, in]. */
function turn({ buffer, byteOffset, length }: Uint8Array, size: number, width: number, kernel: number): void {
  const to = new (size === 4 ? Uint32Array : Uint16Array)(buffer as ArrayBuffer, byteOffset, length / size);
  const from = to.slice();
  for (let row = 0; row < to.length; row += width)
    for (let k = 0, at = row; k < kernel; k++) for (let i = k; i < width; i += kernel) to[at++] = from[row + i];
}

/** Which of the rows row … row + n - 1 of its tensor a weight takes, and where they lie in it. */
function* runs({ from, rows, cols, transposed, blocks }: Weight, row: number, n: number) {
  const stop = Math.min(row + n, from + (transposed ? cols : rows));
  const { size, to } = blocks && rows > 1 ? blocks : { size: stop - from, to: [0] };
  for (let r = Math.max(row, from); r < stop; ) {
    const block = Math.floor((r - from) / size);
    const begin = from + block * size;
    const end = Math.min(stop, begin + size);
    yield { row: r, n: end - r, to: to[block] * size + r - begin };
    r = end;
  }
}

/** Puts `n` rows of the file, from its row `row` on, where they belong, as f32. */
function place(
  { exports }: Engine,
  { weight, at, first, format }: Landing,
  from: number,
  row: number,
  n: number,
  dtype: Dtype,
) {
  const width = widthOf(weight);
  const ld = pad(weight.cols);
  const { size, to } = weight.blocks ?? { size: 0, to: [] };
  // A vector's blocks are of numbers. Transposed matrices lie in stacks at whole panels.
  if (size && weight.rows === 1)
    for (const [i, block] of to.entries())
      exports.convert(at + block * size * 4, from + ((i * size) << (dtype ? 1 : 2)), size, dtype);
  else if (format && weight.transposed)
    exports.pack_columns(at + first * weight.cols * 4, from, row, n, width, weight.cols, dtype);
  else if (format) exports.pack_rows(at, from, first + row, n, width, dtype);
  else if (ld === width) exports.convert(at + row * ld * 4, from, n * width, dtype);
  else
    for (let r = 0; r < n; r++)
      exports.convert(at + (row + r) * ld * 4, from + ((r * width) << (dtype ? 1 : 2)), width, dtype);
}

/** The same into a quantised matrix, by way of f32 behind the `bytes` of the window. A transposed one has come whole. */
function quantize(engine: Engine, landing: Landing, window: number, x: number, row: number, n: number, dtype: Dtype) {
  const { weight, at, first, format, scales } = landing;
  const { rows, cols, transposed } = weight;
  let free = align(x + n * widthOf(weight) * 4);
  engine.exports.convert(x, window, n * widthOf(weight), dtype);
  if (transposed) {
    const from = engine.memory.f32(x, rows * cols);
    const to = engine.memory.f32(free, rows * cols);
    for (let r = 0; r < rows; r++) for (let c = 0; c < cols; c++) to[r * cols + c] = from[c * rows + r];
    x = free;
    free = align(x + rows * cols * 4);
  }
  engine.exports.quantize_weights(at, scales, x, free, first + row, transposed ? rows : n, cols, format);
}

const nameOf = (v: Weight | Stack) =>
  v.kind === "stack" ? v.parts.map(({ weight }) => weight?.name ?? "0").join("+") : v.name;

/** Numbers in a row of the file: a row of the matrix, or a column where it is stored transposed. */
const widthOf = (weight: Weight) => (weight.transposed ? weight.rows : weight.cols);

/** Bytes of a row: of a matrix in panels, a row's share. */
function rowOf({ cols }: { cols: number }, format: Format): number {
  return format >= Format.q8 ? rowBytes(cols, format) : format ? cols * 4 : 4;
}

/** Bytes without scales. */
function bytesOf(v: Weight | Stack | Constant, format: Format): number {
  return format ? pad(v.rows) * rowOf(v, format) : v.rows * pad(v.cols) * 4;
}
