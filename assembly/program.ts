import { Elementwise, Embed, Format, Glu, Matmul, Attention, Norm, Op, Pack, Part, Pool, Record, Rotary, RotaryTable, Scatter, TopK, Unary, Unfold } from "../src/graph/op";
import { attention } from "./kernels/attention";
import { binary, copy, glu, scatter, unary } from "./kernels/elementwise";
import { experts } from "./kernels/experts";
import { embed } from "./kernels/embed";
import { matmul } from "./kernels/matmul";
import { matmul_quantized } from "./kernels/matmul_quantized";
import { layer_norm, normalize, rms_norm } from "./kernels/norm";
import { pack } from "./kernels/pack";
import { pool } from "./kernels/pool";
import { rotary, rotary_table } from "./kernels/rotary";
import { softmax } from "./kernels/softmax";
import { top_k } from "./kernels/top_k";
import { unfold } from "./kernels/unfold";

let record: usize = 0;

/** Word `i` of the record that is running. */
// @ts-ignore: decorator
@inline function word(i: i32): i32 {
  return load<i32>(record + (<usize>i << 2));
}

// @ts-ignore: decorator
@inline function scalar(i: i32): f32 {
  return load<f32>(record + (<usize>i << 2));
}

/** A pointer argument moved on by `rows` rows of `ld` floats; an absent one (0) stays absent. */
// @ts-ignore: decorator
@inline function at(i: i32, rows: i32, ld: i32): usize {
  const p = <usize>word(i);
  return p ? p + ((<usize>rows * <usize>ld) << 2) : 0;
}

/** First row of `part` of `parts`. */
// @ts-ignore: decorator
@inline function cut(rows: i32, part: i32, parts: i32): i32 {
  if (part == parts) return rows;
  return <i32>(<i64>((rows + Part.rows - 1) / Part.rows) * part / parts) * Part.rows;
}

/**
 * Executes records first … last - 1 of `program`, of each op the rows that belong to `part` of `parts`. All parts of an op must
 * have run before the next op begins; run(p, i, j, 0, 1) does whole ops.
 */
export function run(program: usize, first: i32, last: i32, part: i32, parts: i32): void {
  for (let i = first; i < last; i++) {
    record = program + <usize>i * (Record.words * 4);
    const rows = word(Record.rows), lo = cut(rows, part, parts), hi = cut(rows, part + 1, parts);
    if (lo < hi) execute(lo, hi);
  }
}

/** Runs rows lo … hi - 1 of the record. */
function execute(lo: i32, hi: i32): void {
  const n = hi - lo;
  switch (word(Record.op)) {
    case Op.matmul: {
      const ldo = word(Matmul.ldo), lda = word(Matmul.lda), ldr = word(Matmul.ldr);
      const format = word(Matmul.format);
      if (format >= Format.q8) {
        matmul_quantized(at(Record.out, lo, ldo), at(Matmul.a, lo, lda), word(Matmul.b), word(Matmul.scales), word(Matmul.bias),
          at(Matmul.residual, lo, ldr), word(Matmul.scratch), n, word(Matmul.n), word(Matmul.k), ldo, lda, ldr, word(Matmul.activation), format);
        break;
      }
      matmul(at(Record.out, lo, ldo), at(Matmul.a, lo, lda), word(Matmul.b), word(Matmul.bias), at(Matmul.residual, lo, ldr), word(Matmul.scratch),
        n, word(Matmul.n), word(Matmul.k), ldo, lda, ldr, word(Matmul.activation));
      break;
    }
    case Op.attention: {
      attention(record, lo, hi);
      break;
    }
    case Op.embed: {
      const ldo = word(Embed.ldo), ldr = word(Embed.ldr);
      embed(at(Record.out, lo, ldo), at(Embed.ids, lo, 1), word(Embed.table), word(Embed.scales), at(Embed.residual, lo, ldr),
        n, word(Embed.cols), ldo, word(Embed.ldt), ldr, scalar(Embed.scale), word(Embed.format));
      break;
    }
    case Op.layer_norm: {
      const ldo = word(Norm.ldo), ldx = word(Norm.ldx);
      layer_norm(at(Record.out, lo, ldo), at(Norm.x, lo, ldx), word(Norm.weight), word(Norm.bias), n, word(Norm.cols), ldo, ldx, scalar(Norm.eps));
      break;
    }
    case Op.rms_norm: {
      const ldo = word(Norm.ldo), ldx = word(Norm.ldx);
      rms_norm(at(Record.out, lo, ldo), at(Norm.x, lo, ldx), word(Norm.weight), n, word(Norm.cols), word(Norm.groups), ldo, ldx, scalar(Norm.eps), scalar(Norm.offset));
      break;
    }
    case Op.unary: {
      const ldo = word(Unary.ldo), ldx = word(Unary.ldx);
      unary(at(Record.out, lo, ldo), at(Unary.x, lo, ldx), n, word(Unary.cols), ldo, ldx, word(Unary.kind), scalar(Unary.eps));
      break;
    }
    case Op.normalize: {
      const ldo = word(Unary.ldo), ldx = word(Unary.ldx);
      normalize(at(Record.out, lo, ldo), at(Unary.x, lo, ldx), n, word(Unary.cols), ldo, ldx, scalar(Unary.eps));
      break;
    }
    case Op.softmax: {
      const ldo = word(Unary.ldo), ldx = word(Unary.ldx);
      softmax(at(Record.out, lo, ldo), at(Unary.x, lo, ldx), n, word(Unary.cols), ldo, ldx);
      break;
    }
    case Op.copy: {
      const ldo = word(Unary.ldo), ldx = word(Unary.ldx);
      copy(at(Record.out, lo, ldo), at(Unary.x, lo, ldx), n, word(Unary.cols), ldo, ldx);
      break;
    }
    case Op.glu: {
      const ldo = word(Glu.ldo), ldg = word(Glu.ldg), ldu = word(Glu.ldu);
      glu(at(Record.out, lo, ldo), at(Glu.gate, lo, ldg), at(Glu.up, lo, ldu), n, word(Glu.cols), ldo, ldg, ldu, word(Glu.kind));
      break;
    }
    case Op.binary: {
      const ldo = word(Elementwise.ldo), lda = word(Elementwise.lda), ldb = word(Elementwise.ldb);
      binary(at(Record.out, lo, ldo), at(Elementwise.a, lo, lda), at(Elementwise.b, lo, ldb), n, word(Elementwise.cols), ldo, lda, ldb, word(Elementwise.kind));
      break;
    }
    case Op.rotary_table: {
      const ldo = word(RotaryTable.ldo), ldf = word(RotaryTable.ldf);
      rotary_table(at(Record.out, lo, ldo), at(RotaryTable.positions, lo, 1), at(RotaryTable.inv_freq, lo, ldf), n, word(RotaryTable.half), ldo, ldf, scalar(RotaryTable.scale));
      break;
    }
    case Op.rotary: {
      const ldo = word(Rotary.ldo), ldx = word(Rotary.ldx), ldt = word(Rotary.ldt);
      rotary(at(Record.out, lo, ldo), at(Rotary.x, lo, ldx), at(Rotary.table, lo, ldt), n, word(Rotary.heads), word(Rotary.head_dim), word(Rotary.half), ldo, ldx, ldt, word(Rotary.interleaved) != 0);
      break;
    }
    case Op.pool: {
      pool(word(Record.out), word(Pool.x), word(Pool.offsets), word(Pool.visible), lo, hi, word(Pool.mode), word(Pool.cols), word(Pool.ldo), word(Pool.ldx));
      break;
    }
    case Op.pack: {
      const cols = word(Pack.cols), ldx = word(Pack.ldx);
      pack(at(Record.out, lo, cols), at(Pack.x, lo, ldx), n, cols, ldx);
      break;
    }
    case Op.unfold: {
      unfold(word(Record.out), word(Unfold.x), word(Unfold.offsets), word(Unfold.visible), word(Unfold.sequences), lo, hi, word(Unfold.cols), word(Unfold.width), word(Unfold.before), word(Unfold.ldo), word(Unfold.ldx));
      break;
    }
    case Op.top_k: {
      const ldo = word(TopK.ldo), ldx = word(TopK.ldx);
      top_k(at(Record.out, lo, ldo), at(TopK.index, lo, ldo), at(TopK.x, lo, ldx), n, word(TopK.n), word(TopK.k), ldo, ldx);
      break;
    }
    case Op.scatter: {
      const ldx = word(Scatter.ldx);
      scatter(word(Record.out), at(Scatter.x, lo, ldx), at(Scatter.index, lo, 1), n, word(Scatter.cols), word(Scatter.ldo), ldx);
      break;
    }
    case Op.experts: {
      experts(record, lo, hi);
      break;
    }
    default:
      unreachable();
  }
}
