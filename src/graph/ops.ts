import { beside, type Dim, type Node, pad, sideOf, type Value } from "./graph.ts";
import {
  Attention,
  Elementwise,
  Embed,
  Experts,
  ExpertsScratch,
  Format,
  Glu,
  Record as Head,
  Matmul,
  Norm,
  Op,
  Pack,
  MatmulScratch as Packed,
  Pool,
  Quantized,
  Rotary,
  RotaryTable,
  Scatter,
  AttentionScratch as Scratch,
  TopK,
  Unary,
  Unfold,
} from "./op.ts";

/** Where things are in one run. */
export interface Place {
  /** Byte address of a value; 0 for an absent one. */
  at(v: Value | undefined): number;
  /** Row stride in floats. */
  ld(v: Value | undefined): number;
  size(d: Dim): number;
  /** How a resident lies in memory. */
  format(v: Value): Format;
  /** Address of a quantised resident's scales. */
  scales(v: Value): number;
  /** Address of the node's own scratch. */
  readonly scratch: number;
}

/** Words of a record by their index; what is not named here (op, rows, out) has its plain value. */
export type Words = { [index: number]: number };

export interface OpInfo {
  /** The records of a node: one, or one for each head or part. */
  emit(n: Node, p: Place): Words | Words[];
  /** Bytes of scratch. */
  scratch?(n: Node, size: (d: Dim) => number): number;
  /** Floating-point operations of those ops that are counted so. */
  flops?(n: Node, size: (d: Dim) => number): number;
}

const view = new DataView(new ArrayBuffer(4));
/** A scalar argument: the bits of an f32. */
function bits(x: number): number {
  view.setFloat32(0, x);
  return view.getInt32(0);
}
/** Bytes of a row of a quantised matrix. */
export function rowBytes(cols: number, format: Format): number {
  const whole = Math.ceil(cols / Quantized.step) * Quantized.step;
  return format === Format.q4 ? (whole / 16) * 9 : whole;
}

const each = <T>(n: number, make: (i: number) => T): T[] => Array.from({ length: n }, (_, i) => make(i));

/** Numbers of a matrix that one record of a matmul reads: some 8 ms for the fewest rows that an op is cut into. */
const PART_WEIGHTS = 1 << 23;

const norm: OpInfo = {
  emit: ({ inputs: i, attrs, cols }, p) => ({
    [Norm.x]: p.at(i.x),
    [Norm.weight]: p.at(i.weight),
    [Norm.bias]: p.at(i.bias),
    [Norm.cols]: cols / (attrs.groups ?? 1),
    [Norm.ldo]: pad(cols),
    [Norm.ldx]: p.ld(i.x),
    [Norm.eps]: bits(attrs.eps),
    [Norm.offset]: bits(attrs.offset ?? 0),
    [Norm.groups]: attrs.groups ?? 1,
  }),
};

const unary: OpInfo = {
  emit: ({ inputs: { x }, attrs, cols }, p) => ({
    [Unary.x]: p.at(x),
    [Unary.cols]: cols,
    [Unary.ldo]: pad(cols),
    [Unary.ldx]: p.ld(x),
    [Unary.kind]: attrs.kind ?? 0,
    [Unary.eps]: bits(attrs.eps ?? 0),
  }),
};

/** Bytes of a matmul's scratch. */
function matmulScratch(k: number, n: number): number {
  const most = Math.max(Packed.cached, Packed.rows * k);
  const floats = 4 * (Packed.sums + Math.min(most, (n + Packed.rows - 1) * k) + Packed.slack);
  // The same for every dtype: four rows of weights, then 8 bytes a row of activations and up to 2 a number.
  const whole = rowBytes(k, Format.q8);
  const rows = Math.min(pad(n), Math.max(Math.ceil(Quantized.cached / whole), 8));
  const packed = Math.min(2 * whole * rows, Math.max(Quantized.cached, 16 * whole));
  return Math.max(floats, Quantized.sums + 4 * whole + 8 * rows + packed);
}

/** How each op becomes records, and what it costs. The order of words is op.ts's alone. */
export const ops: { readonly [op: number]: OpInfo } = {
  [Op.matmul]: {
    emit(n, p) {
      const { a, b, bias, residual } = n.inputs;
      const { heads = 1, activation = 0 } = n.attrs;
      const cols = n.cols / heads;
      const k = a!.cols / heads;
      const format = p.format(b!);
      const quantized = format >= Format.q8;
      const row = quantized ? rowBytes(k, format) : k * 4;
      // An op is cut by rows, and a wide one by records too, so that none keeps the event loop waiting.
      const step = Math.max(8, (PART_WEIGHTS / k) & ~7);
      return each(heads * Math.ceil(cols / step), (i) => {
        const h = i % heads;
        const first = Math.floor(i / heads) * step;
        const column = h * cols + first;
        return {
          [Head.out]: p.at(n) + column * 4,
          [Matmul.a]: p.at(a) + h * k * 4,
          [Matmul.b]: p.at(b) + column * row,
          [Matmul.bias]: bias ? p.at(bias) + column * 4 : 0,
          [Matmul.residual]: residual ? p.at(residual) + column * 4 : 0,
          [Matmul.n]: Math.min(step, cols - first),
          [Matmul.k]: k,
          [Matmul.ldo]: p.ld(n),
          [Matmul.lda]: p.ld(a),
          [Matmul.ldr]: p.ld(residual),
          [Matmul.activation]: activation,
          [Matmul.scratch]: p.scratch,
          [Matmul.format]: format,
          [Matmul.scales]: quantized ? p.scales(b!) + column * Quantized.scales : 0,
        };
      });
    },
    scratch: (n, size) => matmulScratch(n.inputs.a!.cols / (n.attrs.heads ?? 1), size(n.rows)),
    flops: (n, size) => (2 * size(n.rows) * n.cols * n.inputs.a!.cols) / (n.attrs.heads ?? 1),
  },
  [Op.attention]: {
    emit({ inputs: i, attrs: a, cols }, p) {
      let floats = p.size("S") / p.size("B");
      const stride = (axis: number, n: number) => {
        if (!axis) return 0;
        floats *= n;
        return floats / n;
      };
      return {
        [Attention.q]: p.at(i.q),
        [Attention.k]: p.at(i.k),
        [Attention.v]: p.at(i.v),
        [Attention.ldo]: pad(cols),
        [Attention.ldq]: p.ld(i.q),
        [Attention.ldk]: p.ld(i.k),
        [Attention.ldv]: p.ld(i.v),
        [Attention.q_offsets]: p.at(i.q_offsets),
        [Attention.k_offsets]: p.at(i.k_offsets),
        [Attention.sequences]: p.size(beside(i.q!.rows, "B")),
        [Attention.heads]: a.heads,
        [Attention.kv_heads]: a.kv_heads,
        [Attention.head_dim]: a.head_dim,
        [Attention.value_dim]: a.value_dim,
        [Attention.scale]: bits(a.scale),
        [Attention.softcap]: bits(a.softcap),
        [Attention.q_positions]: p.at(i.q_positions),
        [Attention.k_positions]: p.at(i.k_positions),
        [Attention.left]: a.left,
        [Attention.right]: a.right,
        [Attention.mask]: p.at(i.mask),
        [Attention.mask_query]: stride(a.mask_query, p.size("T") / p.size("B")),
        [Attention.mask_head]: stride(a.mask_head, a.heads),
        [Attention.mask_batch]: stride(a.mask_batch, 1),
        [Attention.bias]: p.at(i.bias),
        [Attention.bias_span]: i.bias ? (i.bias.cols / a.heads - 1) / 2 : 0,
        [Attention.slopes]: p.at(i.slopes),
        [Attention.sinks]: p.at(i.sinks),
        [Attention.c2p]: p.at(i.c2p),
        [Attention.p2c]: p.at(i.p2c),
        [Attention.ld_rel]: p.ld(i.c2p ?? i.p2c),
        [Attention.rel_ld]: a.rel_ld,
        [Attention.rel_index]: p.at(i.rel_index),
        [Attention.rel_span]: a.rel_span,
        [Attention.tap]: p.at(i.tap),
        [Attention.tap_offsets]: p.at(i.tap_offsets),
        [Attention.scratch]: p.scratch,
        [Attention.k_ends]: p.at(i.k_ends),
      };
    },
    scratch: ({ attrs: a }) => 4 * (Scratch.fixed + Scratch.each * (a.head_dim + pad(a.value_dim))),
    flops({ attrs: a, inputs: { q, k } }, size) {
      const cross = sideOf(q!.rows) !== sideOf(k!.rows);
      return 2 * size(beside(q!.rows, cross ? "X" : "P")) * a.heads * (a.head_dim + a.value_dim);
    },
  },
  [Op.embed]: {
    emit: ({ inputs: i, attrs, cols }, p) => ({
      [Embed.ids]: p.at(i.ids),
      [Embed.table]: p.at(i.table),
      [Embed.residual]: p.at(i.residual),
      [Embed.cols]: cols,
      [Embed.ldo]: pad(cols),
      [Embed.ldt]: p.ld(i.table),
      [Embed.ldr]: p.ld(i.residual),
      [Embed.scale]: bits(attrs.scale),
      [Embed.format]: p.format(i.table!),
      [Embed.scales]: p.scales(i.table!),
    }),
  },
  [Op.layer_norm]: norm,
  [Op.rms_norm]: norm,
  [Op.unary]: unary,
  [Op.normalize]: unary,
  [Op.softmax]: unary,
  [Op.copy]: {
    emit(n, p) {
      // Eight columns of all rows are a panel of what matmul reads.
      if (n.attrs.panels)
        return each(Math.ceil(n.cols / 8), (i) => ({
          [Head.out]: p.at(n) + i * p.size(n.rows) * 32,
          [Unary.x]: p.at(n.inputs.x) + i * 32,
          [Unary.cols]: 8,
          [Unary.ldo]: 8,
          [Unary.ldx]: p.ld(n.inputs.x),
        }));
      let column = 0;
      return Object.values(n.inputs).map((x) => {
        const out = p.at(n) + column * 4;
        column += x!.cols;
        return {
          [Head.out]: out,
          [Unary.x]: p.at(x),
          [Unary.cols]: x!.cols,
          [Unary.ldo]: p.ld(n),
          [Unary.ldx]: p.ld(x),
        };
      });
    },
  },
  [Op.glu]: {
    emit: ({ inputs: { gate, up }, attrs, cols }, p) => ({
      [Glu.gate]: p.at(gate),
      [Glu.up]: p.at(up),
      [Glu.cols]: cols,
      [Glu.ldo]: pad(cols),
      [Glu.ldg]: p.ld(gate),
      [Glu.ldu]: p.ld(up),
      [Glu.kind]: attrs.kind,
    }),
  },
  [Op.binary]: {
    emit: ({ inputs: { a, b }, attrs, cols, rows }, p) => ({
      [Elementwise.a]: p.at(a),
      [Elementwise.b]: p.at(b),
      [Elementwise.cols]: cols,
      [Elementwise.ldo]: pad(cols),
      [Elementwise.lda]: p.ld(a),
      [Elementwise.ldb]: b!.rows === rows ? p.ld(b) : 0,
      [Elementwise.kind]: attrs.kind,
    }),
  },
  [Op.rotary_table]: {
    emit: ({ inputs: i, attrs, cols, rows }, p) => ({
      [RotaryTable.positions]: p.at(i.positions),
      [RotaryTable.inv_freq]: p.at(i.inv_freq),
      [RotaryTable.half]: attrs.half,
      [RotaryTable.ldo]: pad(cols),
      [RotaryTable.ldf]: i.inv_freq!.rows === rows ? p.ld(i.inv_freq) : 0,
      [RotaryTable.scale]: bits(attrs.scale),
    }),
  },
  [Op.rotary]: {
    emit: ({ inputs: i, attrs: a, cols }, p) => ({
      [Rotary.x]: p.at(i.x),
      [Rotary.table]: p.at(i.table),
      [Rotary.heads]: a.heads,
      [Rotary.head_dim]: a.head_dim,
      [Rotary.half]: a.half,
      [Rotary.ldo]: pad(cols),
      [Rotary.ldx]: p.ld(i.x),
      [Rotary.ldt]: p.ld(i.table),
      [Rotary.interleaved]: a.interleaved,
    }),
  },
  [Op.pool]: {
    emit: ({ inputs: i, attrs, cols }, p) => ({
      [Pool.x]: p.at(i.x),
      [Pool.offsets]: p.at(i.offsets),
      [Pool.visible]: p.at(i.visible),
      [Pool.mode]: attrs.mode,
      [Pool.cols]: cols,
      [Pool.ldo]: pad(cols),
      [Pool.ldx]: p.ld(i.x),
    }),
  },
  [Op.pack]: {
    emit(n, p) {
      const cols = n.cols / n.attrs.heads;
      return each(n.attrs.heads, (h) => ({
        [Head.out]: p.at(n) + h * pad(p.size(n.rows)) * cols * 4,
        [Pack.x]: p.at(n.inputs.x) + h * cols * 4,
        [Pack.cols]: cols,
        [Pack.ldx]: p.ld(n.inputs.x),
      }));
    },
  },
  [Op.unfold]: {
    emit: ({ inputs: i, attrs, cols, rows }, p) => ({
      [Unfold.x]: p.at(i.x),
      [Unfold.offsets]: p.at(i.offsets),
      [Unfold.visible]: p.at(i.visible),
      [Unfold.sequences]: p.size(beside(rows, "B")),
      [Unfold.cols]: i.x!.cols,
      [Unfold.width]: attrs.width,
      [Unfold.before]: attrs.before,
      [Unfold.ldo]: pad(cols),
      [Unfold.ldx]: p.ld(i.x),
    }),
  },
  [Op.scatter]: {
    emit: ({ inputs: { x, index }, cols }, p) => ({
      [Scatter.x]: p.at(x),
      [Scatter.index]: p.at(index),
      [Scatter.cols]: cols,
      [Scatter.ldo]: pad(cols),
      [Scatter.ldx]: p.ld(x),
    }),
  },
  [Op.experts]: {
    emit: ({ inputs: i, attrs, cols }, p) => ({
      [Experts.x]: p.at(i.x),
      [Experts.weights]: p.at(i.weights),
      [Experts.index]: p.at(i.index),
      [Experts.up]: p.at(i.up),
      [Experts.up_scales]: p.scales(i.up!),
      [Experts.up_bias]: p.at(i.up_bias),
      [Experts.down]: p.at(i.down),
      [Experts.down_scales]: p.scales(i.down!),
      [Experts.down_bias]: p.at(i.down_bias),
      [Experts.format]: p.format(i.up!),
      [Experts.down_format]: p.format(i.down!),
      [Experts.experts]: attrs.experts,
      [Experts.chosen]: i.weights!.cols,
      [Experts.cols]: cols,
      [Experts.inner]: attrs.inner,
      [Experts.kind]: attrs.kind,
      [Experts.limit]: bits(attrs.limit),
      [Experts.ldo]: pad(cols),
      [Experts.ldx]: p.ld(i.x),
      [Experts.ldw]: p.ld(i.weights),
      [Experts.ldi]: p.ld(i.index),
      [Experts.scratch]: p.scratch,
    }),
    scratch({ inputs: { up }, attrs: { experts, inner }, cols }) {
      const wide = (up!.rows as number) / experts;
      const rows = ExpertsScratch.rows * (2 + pad(cols) + wide);
      return 4 * rows + 64 + matmulScratch(Math.max(cols, inner), ExpertsScratch.rows);
    },
    flops: ({ inputs: { weights }, attrs: { inner }, rows, cols }, size) =>
      6 * size(rows) * weights!.cols * inner * cols,
  },
  [Op.top_k]: {
    // A row of out holds k values, then (from the middle on) their k columns.
    emit: (n, p) => ({
      [TopK.index]: p.at(n) + p.ld(n) * 2,
      [TopK.x]: p.at(n.inputs.x),
      [TopK.n]: n.inputs.x!.cols,
      [TopK.k]: n.attrs.k,
      [TopK.ldo]: p.ld(n),
      [TopK.ldx]: p.ld(n.inputs.x),
    }),
  },
};
