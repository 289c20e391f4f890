import { Activation, Format, Quantized } from "../../src/graph/op";
import { activate, gelu_short } from "../numeric";
import { exact_row, exact_tile, row, row_q4, tile } from "./tile_quantized";
import { quantize_activations, row_bytes, unpack_q4, whole } from "./quantize";

/** Rows and outputs of one round of the kernel. */
const ROWS: i32 = 4;
const OUTPUTS: i32 = 4;

/**
 * Reads every line of what the first tile would otherwise fetch as it goes, in two runs at once that end with each row: one long run
 * comes from a third-level cache several times as fast (16 rows by k = 1536: 95 GFLOP/s without, 130 with). The result is of no use, but
 * keeps engines from leaving the reads out.
 */
function sweep(at: usize, bytes: i32): i32 {
  let seen = 0;
  for (const end = at + <usize>bytes; at + 256 <= end; at += 256) {
    seen |= load<i32>(at) | load<i32>(at, 64) | load<i32>(at, 128) | load<i32>(at, 192);
  }
  return seen;
}

/** What four outputs' pairs of sums add up to. */
// @ts-ignore: decorator
@inline function totals(sums: usize): v128 {
  const ab = v128.load(sums), cd = v128.load(sums, 16);
  return i32x4.add(v128.shuffle<i64>(ab, cd, 0, 2), v128.shuffle<i64>(ab, cd, 1, 3));
}

/** Four outputs of a row, before the activation. */
// @ts-ignore: decorator
@inline function line(sums: usize, params: usize, scale: v128, sum: v128, base: v128): v128 {
  const y = f32x4.mul(f32x4.convert_i32x4_s(totals(sums)), v128.load32_splat(params));
  return f32x4.add(f32x4.mul(f32x4.add(y, f32x4.mul(v128.load32_splat(params, 4), sum)), scale), base);
}

// @ts-ignore: decorator
@inline function put(out: usize, residual: usize, add: bool, y: v128): void {
  v128.store(out, add ? f32x4.add(y, v128.load(residual)) : y);
}

/** Activates a row in place. */
function activate_row(at: usize, columns: i32, activation: i32): void {
  const end = at + (<usize>columns << 2);
  if (activation == Activation.gelu) for (; at < end; at += 16) v128.store(at, gelu_short(v128.load(at)));
  else for (; at < end; at += 16) v128.store(at, activate(v128.load(at), activation));
}

/**
 * One tile's rows by `columns` outputs. Pointers are those of its first row and output. packed: of one row that meets q4 as it is kept, how many
 * bytes each row of that takes; else 0.
 *
 * Activations have long chains of operations, which fill a core's queues and hold up the sums behind them: they come last, when only their
 * like is around (a residual is added behind them and may lie in out: then they cannot).
 */
function pass(
  out: usize, a: usize, w: usize, scales: usize, bias: usize, residual: usize, params: usize, sums: usize,
  rows: i32, columns: i32, k: i32, so: usize, sr: usize, activation: i32, words: bool, packed: usize,
): void {
  const first = out, add = residual != 0;
  memory.fill(sums + 128, 0, 128);
  for (let column = 0; column < columns; column += OUTPUTS, w += packed ? packed << 2 : <usize>k << 2) {
    if (packed) {
      row_q4(sums, a, w, packed, k);
    } else if (rows == ROWS) {
      if (words) exact_tile(sums, a, w, k);
      else tile(sums, a, w, k);
    } else {
      for (let r = 0; r < rows; r++) {
        if (words) exact_row(sums + (<usize>r << 5), a + (<usize>r << 4), w, k);
        else row(sums + (<usize>r << 5), a + (<usize>r << 4), w, k);
      }
    }
    // Written out for four rows, whatever the others hold: their chains of operations overlap.
    const scale = v128.load(scales), sum = v128.load(scales, 32), base = bias ? v128.load(bias) : f32x4.splat(0);
    let y0 = line(sums, params, scale, sum, base), y1 = line(sums + 32, params + 8, scale, sum, base);
    let y2 = line(sums + 64, params + 16, scale, sum, base), y3 = line(sums + 96, params + 24, scale, sum, base);
    if (add && activation) {
      v128.store(sums, y0); v128.store(sums, y1, 16); v128.store(sums, y2, 32); v128.store(sums, y3, 48);
      activate_row(sums, 16, activation);
      y0 = v128.load(sums); y1 = v128.load(sums, 16); y2 = v128.load(sums, 32); y3 = v128.load(sums, 48);
    }
    put(out, residual, add, y0);
    if (rows > 1) put(out + so, residual + sr, add, y1);
    if (rows > 2) put(out + 2 * so, residual + 2 * sr, add, y2);
    if (rows > 3) put(out + 3 * so, residual + 3 * sr, add, y3);
    out += 16;
    if (bias) bias += 16;
    if (add) residual += 16;
    scales += column & 4 ? 48 : 16;
  }
  if (activation && !add) for (let r = 0; r < rows; r++) activate_row(first + <usize>r * so, columns, activation);
}

/**
 * out[rows, n] = activation(a[rows, k] · bᵀ + bias) + residual with b in q8, q8_exact or q4 (see quantize.ts), PyTorch's Linear with what
 * follows it. Rows of a become integers in a block as large as a second-level cache holds, each by itself, and four rows of b pass
 * over them at a time.
 *
 * b: rows of row_bytes(k, format), scales [n/8][scale, Σ q][8] f32, both up to n rounded up to 8 (zeros there). bias, residual, out and
 * strides as in matmul. The sums of integers are exact (bounds in quantize.ts) for k < 2¹⁷, so neither tiles nor their order can show; in q8 they
 * are under 2²⁴ for k ≤ 8192, where f32 holds them, and are rounded once beyond. Then f32 without fused operations: the same bits in every
 * build, but for activations, whose polynomials have them.
 *
 * scratch: Quantized.sums bytes, four rows of b as bytes, step and lo of the block's rows, the block. Up to 12 bytes behind a row of a are
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
  const alone = rows == 1 && !words, packed_q4 = alone && format == Format.q4 ? stride : 0;
  // One row meets each row of b once: what it meets next is read in short runs, at twice the rate of reading it as it is met.
  const span = alone ? max(4096 / <i32>stride & -8, 8) : format == Format.q4 ? OUTPUTS : max(Quantized.cached / <i32>stride & -8, 8);
  const unpacked = scratch + Quantized.sums, params = unpacked + (<usize>last_k << 2);
  for (let first = 0; first < rows; first += block) {
    const count = min(block, rows - first), packed = params + (<usize>(count + ROWS - 1 & -ROWS) << 3);
    for (let i = 0; i < count; i++) {
      const to = packed + <usize>(i & -ROWS) * width + (<usize>(i & 3) << 4);
      quantize_activations(to, params + (<usize>i << 3), a + <usize>(first + i) * sa, k, exact, words);
    }
    for (let group = 0; group < n; group += span) {
      let w = b + <usize>group * stride, step = stride;
      if (format == Format.q4 && !packed_q4) {
        step = <usize>last_k;
        for (let i = 0; i < OUTPUTS; i++) unpack_q4(unpacked + <usize>i * step, w + <usize>i * stride, k);
        w = unpacked;
      }
      const columns = min(span, n - group);
      if (count > ROWS || alone) store<i32>(scratch, sweep(w, columns * <i32>step));
      for (let i = 0; i < count; i += ROWS) {
        const own = params + (<usize>i << 3), place = <usize>(first + i), left = min(ROWS, count - i);
        const offset = <usize>group << 2, to = out + place * so + offset, add = residual ? residual + place * sr + offset : 0;
        const from = packed + <usize>i * width, table = scales + (<usize>(group >> 3) << 6) + (<usize>(group & 4) << 2);
        pass(to, from, w, table, bias ? bias + offset : 0, add, own, scratch, left, columns, last_k, so, sr, activation, words, packed_q4);
      }
    }
    // Outputs come four at a time, rows of out are whole to eight.
    if (n - 1 & 4) continue;
    const behind = out + (<usize>first) * so + (<usize>(n + 3 & -4) << 2);
    if (n > 0) for (let i = 0; i < count; i++) v128.store(behind + <usize>i * so, f32x4.splat(0));
  }
}
