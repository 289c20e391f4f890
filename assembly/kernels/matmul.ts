import { TILE_ROWS } from "../lanes";
import { activate } from "../numeric";
import { tile } from "./tile";

/** One tile's sums before the epilogue; overwritten by every tile. */
const sums = memory.data(TILE_ROWS * 32, 16);
/** Rows of `a` that pass over one panel of `b` before the next panel comes: as many as stay in a 256 KB second-level cache. */
const CACHED_FLOATS: i32 = 1 << 16;

/** out[rows, 8] = activation(sums + bias) + residual for one tile. */
// @ts-ignore: decorator
@inline function epilogue(out: usize, bias: usize, residual: usize, rows: i32, ldo: usize, ldr: usize, activation: i32): void {
  const bias0 = bias ? v128.load(bias) : f32x4.splat(0);
  const bias1 = bias ? v128.load(bias, 16) : f32x4.splat(0);
  for (let i = 0, from = sums; i < rows; i++, from += 32, out += ldo) {
    let c0 = activate(f32x4.add(v128.load(from), bias0), activation);
    let c1 = activate(f32x4.add(v128.load(from, 16), bias1), activation);
    if (residual) {
      c0 = f32x4.add(c0, v128.load(residual));
      c1 = f32x4.add(c1, v128.load(residual, 16));
      residual += ldr;
    }
    v128.store(out, c0);
    v128.store(out, c1, 16);
  }
}

/**
 * out[rows, n] = activation(a[rows, k] · bᵀ + bias) + residual, the Linear layer of PyTorch with what follows it.
 *
 * `b` holds W[n, k] in panels [n/8][k][8]; bias (0: none) has whole panels; residual (0: none) is [rows, n] with stride ldr.
 * `out` is written in whole panels: n rounded up to 8 columns, so ldo ≥ that. out may be residual; it must not overlap a.
 * Sums are one f32 chain over k in ascending order, |error| ≤ k · 2⁻²⁴ · Σ|a·b|, the same bits for any rows, tile or position.
 * Strides in floats. Nothing past the last row's k floats is read.
 */
export function matmul(
  out: usize, a: usize, b: usize, bias: usize, residual: usize,
  rows: i32, n: i32, k: i32, ldo: i32, lda: i32, ldr: i32, activation: i32,
): void {
  const so = <usize>ldo << 2, sa = <usize>lda << 2, sr = <usize>ldr << 2, panel = <usize>k << 5;
  const block = max(CACHED_FLOATS / max(k, 1) / TILE_ROWS, 1) * TILE_ROWS;
  for (let first = 0; first < rows; first += block) {
    const last = min(first + block, rows);
    for (let column = 0; column < n; column += 8) {
      const bj = b + <usize>(column >> 3) * panel, biasj = bias ? bias + (column << 2) : 0;
      for (let i = first; i < last; i += TILE_ROWS) {
        const left = min(TILE_ROWS, last - i);
        const row = <usize>i;
        tile(sums, a + row * sa, sa, left, bj, k);
        epilogue(out + row * so + (column << 2), biasj, residual ? residual + row * sr + (column << 2) : 0, left, so, sr, activation);
      }
    }
  }
}
