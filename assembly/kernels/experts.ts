import { Experts, ExpertsScratch, Format, Quantized } from "../../src/graph/op";
import { activate } from "../numeric";
import { matmul } from "./matmul";
import { matmul_quantized } from "./matmul_quantized";
import { row_bytes } from "./quantize";
import { pad } from "./rows";

// @ts-ignore: decorator
@inline function word(record: usize, i: i32): i32 {
  return load<i32>(record + (<usize>i << 2));
}

/** Bytes of `n` rows of k weights each, n in whole panels. */
function rows_bytes(n: i32, k: i32, format: i32): usize {
  return <usize>n * (format >= Format.q8 ? <usize>row_bytes(k, format) : <usize>k << 2);
}

function linear(
  out: usize, a: usize, b: usize, scales: usize, bias: usize, scratch: usize, rows: i32, n: i32, k: i32, ldo: i32, lda: i32, format: i32,
): void {
  if (format >= Format.q8) matmul_quantized(out, a, b, scales, bias, 0, scratch, rows, n, k, ldo, lda, 0, 0, format);
  else matmul(out, a, b, bias, 0, scratch, rows, n, k, ldo, lda, 0, 0);
}

/** x[r] = activation(gate) · up, over the gates: both halves of whole panels, or (limit ≠ 0) pairs of neighbours, clamped. */
function gate(x: usize, rows: i32, inner: i32, ld: i32, kind: i32, limit: f32): void {
  const half = <usize>(inner + 7 & ~7) << 2;
  const most = f32x4.splat(limit), least = f32x4.splat(-limit), one = f32x4.splat(1);
  for (; rows > 0; --rows, x += <usize>ld << 2) {
    for (let at: usize = 0, end = <usize>inner << 2; at < end; at += 16) {
      if (limit == 0) {
        v128.store(x + at, f32x4.mul(activate(v128.load(x + at), kind), v128.load(x + half + at)));
      } else {
        // What is written lies before all that is still to be read.
        const low = v128.load(x + 2 * at), high = v128.load(x + 2 * at, 16);
        const g = f32x4.min(v128.shuffle<f32>(low, high, 0, 2, 4, 6), most);
        const up = f32x4.max(f32x4.min(v128.shuffle<f32>(low, high, 1, 3, 5, 7), most), least);
        v128.store(x + at, f32x4.mul(f32x4.add(up, one), activate(g, kind)));
      }
    }
    pad(x, inner);
  }
}

/**
 * A mixture of experts: out[r] = Σ weights[r, j] · down_e(gates(up_e(x[r]))) over the j of its `chosen` experts e = index[r, j], added in the order of e
 * (arXiv:2101.03961; Mixtral's, arXiv:2401.04088). gates: activation(gate) · up, its halves in whole panels; with a limit c (gpt-oss)
 * activation(min(gate, c)) · (clamp(up, ±c) + 1), gate and up in turn.
 *
 * record: see Experts (src/graph/op.ts); rows lo … hi - 1 are done. Weights of an expert are rows in whole panels, one expert below the other. Tokens that chose an expert pass it together, ExpertsScratch.rows at a time: sums of a token are those that it has
 * alone, as matmul's are, then f32 without fused operations. Experts that no token chose are not read. out must not overlap anything.
 */
export function experts(record: usize, lo: i32, hi: i32): void {
  const cols = word(record, Experts.cols), inner = word(record, Experts.inner), chosen = word(record, Experts.chosen);
  const ldo = word(record, Experts.ldo), ldx = word(record, Experts.ldx), ldw = word(record, Experts.ldw), ldi = word(record, Experts.ldi);
  const format = word(record, Experts.format), down_format = word(record, Experts.down_format), kind = word(record, Experts.kind), limit = load<f32>(record + (Experts.limit << 2));
  const x = <usize>word(record, Experts.x), out = <usize>word(record, 2), weights = <usize>word(record, Experts.weights), index = <usize>word(record, Experts.index);
  const wide = limit == 0 ? 2 * (inner + 7 & ~7) : 2 * inner + 7 & ~7, width = cols + 7 & ~7;
  const up_bytes = rows_bytes(wide, cols, format), down_bytes = rows_bytes(width, inner, down_format);
  const up_bias = <usize>word(record, Experts.up_bias), down_bias = <usize>word(record, Experts.down_bias);

  const places = <usize>word(record, Experts.scratch), a = places + (ExpertsScratch.rows << 3);
  const lifted = a + <usize>(ExpertsScratch.rows * width << 2) + 32, scratch = lifted + <usize>(ExpertsScratch.rows * wide << 2) + 32;
  for (let r = lo; r < hi; r++) memory.fill(out + (<usize>(r * ldo) << 2), 0, <usize>width << 2);
  for (let e = 0, n = word(record, Experts.experts); e < n; e++) {
    for (let r = lo; r < hi;) {
      let count = 0;
      for (; r < hi && count < ExpertsScratch.rows; r++) {
        for (let j = 0; j < chosen; j++) {
          if (load<i32>(index + (<usize>(r * ldi + j) << 2)) != e) continue;
          store<i32>(places + (count << 3), r);
          store<f32>(places + (count << 3), load<f32>(weights + (<usize>(r * ldw + j) << 2)), 4);
          memory.copy(a + (<usize>(count * width) << 2), x + (<usize>(r * ldx) << 2), <usize>cols << 2);
          count++;
          break;
        }
      }
      if (!count) continue;
      const b = <usize>word(record, Experts.up) + <usize>e * up_bytes, d = <usize>word(record, Experts.down) + <usize>e * down_bytes;
      const up_scales = <usize>word(record, Experts.up_scales) + <usize>(e * wide * Quantized.scales);
      const down_scales = <usize>word(record, Experts.down_scales) + <usize>(e * width * Quantized.scales);
      linear(lifted, a, b, up_scales, up_bias ? up_bias + (<usize>(e * wide) << 2) : 0, scratch, count, wide, cols, wide, width, format);
      gate(lifted, count, inner, wide, kind, limit);
      linear(a, lifted, d, down_scales, down_bias ? down_bias + (<usize>(e * width) << 2) : 0, scratch, count, cols, inner, width, wide, down_format);
      for (let i = 0; i < count; i++) {
        const to = out + (<usize>(load<i32>(places + (i << 3)) * ldo) << 2), from = a + (<usize>(i * width) << 2), w = v128.load32_splat(places + (i << 3), 4);
        for (let at: usize = 0, end = <usize>width << 2; at < end; at += 16) {
          v128.store(to + at, f32x4.add(v128.load(to + at), f32x4.mul(w, v128.load(from + at))));
        }
      }
    }
  }
}
