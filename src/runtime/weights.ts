import { UnsupportedOptionError, WeightsError } from "../errors.ts";
import type { Checkpoint, CheckpointTensor } from "../format/checkpoint.ts";
import type { StreamOptions, Target } from "../format/safetensors.ts";
import { base } from "../graph/fuse.ts";
import { type Constant, type Node, pad, type Stack, type Value, type Weight } from "../graph/graph.ts";
import type { Residents } from "../graph/lower.ts";
import { Dtype, Op } from "../graph/op.ts";
import { align } from "../graph/plan.ts";
import { platform } from "../platform.ts";
import type { Engine } from "./engine.ts";

/** Where a tensor of the checkpoint lands: from row `first` of a matrix in panels, or as plain rows. */
interface Landing {
  readonly weight: Weight;
  readonly at: number;
  readonly first: number;
  readonly panels: boolean;
}

/** Bytes read at once while weights load, or a row where that is more. */
const WINDOW = 1 << 18;
const DTYPES: { readonly [name: string]: [kind: Dtype, bytes: number] } = {
  F32: [Dtype.f32, 4],
  F16: [Dtype.f16, 2],
  BF16: [Dtype.bf16, 2],
};

/** The weights and constants of a graph, and where each lies from byte `base` on: known from the graph alone. */
export class Weights implements Residents {
  readonly #at = new Map<Value, number>();
  readonly #panels = new Set<Value>();
  readonly #landings = new Map<string, Landing[]>();
  readonly #constants: Constant[] = [];
  #windows = 0;
  /** First byte behind them. */
  readonly end: number;
  /** Bytes of the window through which they load. */
  window = WINDOW;

  constructor(
    nodes: readonly Node[],
    readonly from: number,
  ) {
    const values = new Set<Value>();
    for (const n of nodes) {
      for (const [name, input] of Object.entries(n.inputs)) {
        const v = input && base(input);
        if (!v || v.kind === "node" || v.kind === "input") continue;
        values.add(v);
        // A table that is also a projection (tied embeddings) lies once, in the layout that serves both.
        if (n.op === Op.matmul && name === "b") this.#panels.add(v);
      }
    }
    let at = align(from);
    for (const v of [...values].sort((a, b) => +(b.kind === "stack") - +(a.kind === "stack"))) {
      if (this.#at.has(v)) continue;
      this.#at.set(v, at);
      const panels = this.#panels.has(v);
      if (v.kind === "constant") this.#constants.push(v);
      if (v.kind === "weight") this.#land(v, at, 0, panels);
      if (v.kind === "stack") {
        let first = 0;
        for (const { weight, size } of v.parts) {
          if (weight) this.#land(weight, panels ? at : at + first * 4, panels ? first : 0, panels);
          // A weight that is also used by itself lies nowhere else, if its vectors are whole here.
          if (weight && !((first | size) & 7) && panels === this.#panels.has(weight))
            this.#at.set(weight, at + first * 4 * (panels ? v.cols : 1));
          first += size;
        }
      }
      at = align(at + bytesOf(v as Weight | Stack | Constant, panels));
    }
    this.end = at;
  }

  #land(weight: Weight, at: number, first: number, panels: boolean): void {
    this.window = Math.max(this.window, 4 * widthOf(weight));
    this.#landings.set(weight.name, [...(this.#landings.get(weight.name) ?? []), { weight, at, first, panels }]);
  }

  at(v: Value): number | undefined {
    return this.#at.get(v);
  }

  panels(v: Value): boolean {
    return this.#panels.has(v);
  }

  /** Puts the result of a constant node at `at`. */
  place(v: Node, at: number): void {
    this.#at.set(v, at);
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
    engine.memory.ensure(engine.top + this.window);
    engine.memory.u8(this.from, this.end - this.from).fill(0); // what is not written is padding
    for (const c of this.#constants) engine.memory.write(this.#at.get(c)!, c.data);
    for (const c of checkpoints) await c.stream((info) => this.#target(engine, info), options);
  }

  #target(engine: Engine, info: CheckpointTensor): Target | undefined {
    const landings = this.#landings.get(info.name);
    if (!landings) return;
    const [dtype, size] = DTYPES[info.dtype];
    const { weight } = landings[0];
    const width = widthOf(weight);
    const bytes = width * size;
    const capacity = Math.max(1, Math.floor(WINDOW / bytes));
    const rows = capacity > 8 ? capacity & ~7 : capacity;
    const window = engine.top;
    let row = 0;
    return {
      window: () => engine.memory.u8(window, rows * bytes),
      flush: (filled) => {
        const n = filled / bytes;
        if (weight.kernel > 1) turn(engine.memory.u8(window, filled), size, width, weight.kernel);
        for (const { at, first, panels } of landings) {
          const ld = pad(weight.cols);
          if (panels && weight.transposed) engine.exports.pack_columns(at, window, row, n, width, weight.cols, dtype);
          else if (panels) engine.exports.pack_rows(at, window, first + row, n, width, dtype);
          else if (ld === width) engine.exports.convert(at + row * ld * 4, window, n * width, dtype);
          else
            for (let r = 0; r < n; r++)
              engine.exports.convert(at + (row + r) * ld * 4, window + r * bytes, width, dtype);
        }
        row += n;
        // What comes from memory never waits for anything, so the event loop is given its turn here.
        this.#windows = (this.#windows + 1) % 32;
        return this.#windows ? undefined : platform().pause();
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

/** Numbers in a row of the file: a row of the matrix, or a column where it is stored transposed. */
const widthOf = (weight: Weight) => (weight.transposed ? weight.rows : weight.cols);

function bytesOf(v: Weight | Stack | Constant, panels: boolean): number {
  return (panels ? pad(v.rows) * v.cols : v.rows * pad(v.cols)) * 4;
}
