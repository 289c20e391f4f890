import { Activation, Format, Quantized } from "../../src/graph/op";
import { activate, gelu_short } from "../numeric";
import { exact_row, exact_tile, row, tile } from "./tile_quantized";
import { quantize_activations, row_bytes, unpack_q4, whole } from "./quantize";

/** Rows and outputs of one round of the kernel. */
const ROWS: i32 = 4;
const OUTPUTS: i32 = 4;

/** Sums of four lanes of four vectors side by side. */
// @ts-ignore: decorator
@inline function totals(sums: usize): v128 {
  const a = v128.load(sums), b = v128.load(sums, 16), c = v128.load(sums, 32), d = v128.load(sums, 48);
  const ab = i32x4.add(v128.shuffle<i32>(a, b, 0, 4, 1, 5), v128.shuffle<i32>(a, b, 2, 6, 3, 7));
  const cd = i32x4.add(v128.shuffle<i32>(c, d, 0, 4, 1, 5), v128.shuffle<i32>(c, d, 2, 6, 3, 7));
  return i32x4.add(v128.shuffle<i64>(ab, cd, 0, 2), v128.shuffle<i64>(ab, cd, 1, 3));
}

/** One tile's rows by `columns` outputs. Pointers are those of its first row and output. */
function pass(
  out: usize, a: usize, w: usize, stride: usize, scales: usize, bias: usize, residual: usize, params: usize, sums: usize,
  rows: i32, columns: i32, k: i32, so: usize, sr: usize, activation: i32, words: bool,
): void {
  for (let column = 0; column < columns; column += OUTPUTS, w += stride << 2) {
    if (rows == ROWS) {
      if (words) {
        exact_tile(sums, a, w, stride, k);
        exact_tile(sums + 32, a, w + 2 * stride, stride, k);
      } else {
        tile(sums, a, w, stride, k);
        tile(sums + 32, a, w + 2 * stride, stride, k);
      }
    } else {
      for (let r = 0; r < rows; r++) {
        if (words) exact_row(sums + (<usize>r << 6), a + (<usize>r << 4), w, stride, k);
        else row(sums + (<usize>r << 6), a + (<usize>r << 4), w, stride, k);
      }
    }
    const scale = v128.load(scales), sum = v128.load(scales, 32), base = bias ? v128.load(bias) : f32x4.splat(0);
    let to = out, add = residual, from = sums, own = params;
    for (let r = 0; r < rows; r++, to += so, from += 64, own += 8) {
      let y = f32x4.mul(f32x4.convert_i32x4_s(totals(from)), v128.load32_splat(own));
      y = f32x4.mul(f32x4.add(y, f32x4.mul(v128.load32_splat(own, 4), sum)), scale);
      y = f32x4.add(y, base);
      y = activation == Activation.gelu ? gelu_short(y) : activate(y, activation);
      if (residual) {
        y = f32x4.add(y, v128.load(add));
        add += sr;
      }
      v128.store(to, y);
    }
    out += 16;
    if (bias) bias += 16;
    if (residual) residual += 16;
    scales += column & 4 ? 48 : 16;
  }
}

/**
 * out[rows, n] = activation(a[rows, k] · bᵀ + bias) + residual with b in q8, q8_exact or q4 (see quantize.ts), PyTorch's Linear with what
 * follows it. Rows of a become integers in a block as large as a second-level cache holds, each by itself, and four rows of b pass
 * over them at a time.
 *
 * b: rows of row_bytes(k, format), scales [n/8][scale, Σ q][8] f32, both up to n rounded up to 8 (zeros there). bias, residual, out and
 * strides as in matmul. The sums of integers are exact (bounds in quantize.ts) for k < 2¹⁷, so neither tiles nor their order can show; then
 * f32 without fused operations: the same bits in every build. They are under 2²⁴ in q8 for k ≤ 2¹⁰·2 and rounded once beyond.
 *
 * scratch: Quantized.sums bytes, four rows of b as bytes, step and lo of the block's rows, the block. Up to 60 bytes behind a row of a are
 * read, and what they hold reaches no result.
 */
export function matmul_quantized(
  out: usize, a: usize, b: usize, scales: usize, bias: usize, residual: usize, scratch: usize,
  rows: i32, n: i32, k: i32, ldo: i32, lda: i32, ldr: i32, activation: i32, format: i32,
): void {
  const so = <usize>ldo << 2, sa = <usize>lda << 2, sr = <usize>ldr << 2;
  const last_k = whole(k), exact = format == Format.q8_exact, words = exact || !ASC_FEATURE_RELAXED_SIMD;
  const stride = <usize>row_bytes(k, format), width = <usize>last_k << (words ? 1 : 0);
  const block = max(Quantized.cached / <i32>width & -ROWS, ROWS);
  // A row of tiles meets many rows of b in turn: those come in long runs, which is what a processor fetches ahead (docs/decisions/0003).
  const span = format == Format.q4 ? OUTPUTS : max(Quantized.cached / <i32>stride & -8, 8);
  const unpacked = scratch + Quantized.sums, params = unpacked + (<usize>last_k << 2);
  for (let first = 0; first < rows; first += block) {
    const count = min(block, rows - first), packed = params + (<usize>(count + ROWS - 1 & -ROWS) << 3);
    for (let i = 0; i < count; i++) {
      const to = packed + <usize>(i & -ROWS) * width + (<usize>(i & 3) << 4);
      quantize_activations(to, params + (<usize>i << 3), a + <usize>(first + i) * sa, k, exact, words);
    }
    for (let group = 0; group < n; group += span) {
      let w = b + <usize>group * stride, step = stride;
      if (format == Format.q4) {
        step = <usize>last_k;
        for (let i = 0; i < OUTPUTS; i++) unpack_q4(unpacked + <usize>i * step, w + <usize>i * stride, k);
        w = unpacked;
      }
      const columns = min(span, n - group);
      for (let i = 0; i < count; i += ROWS) {
        const own = params + (<usize>i << 3), place = <usize>(first + i), left = min(ROWS, count - i);
        const offset = <usize>group << 2, to = out + place * so + offset, add = residual ? residual + place * sr + offset : 0;
        const from = packed + <usize>i * width, table = scales + (<usize>(group >> 3) << 6) + (<usize>(group & 4) << 2);
        pass(to, from, w, step, table, bias ? bias + offset : 0, add, own, scratch, left, columns, last_k, so, sr, activation, words);
      }
    }
    // Outputs come four at a time, rows of out are whole to eight.
    if (n - 1 & 4) continue;
    const behind = out + (<usize>first) * so + (<usize>(n + 3 & -4) << 2);
    if (n > 0) for (let i = 0; i < count; i++) v128.store(behind + <usize>i * so, f32x4.splat(0));
  }
}
