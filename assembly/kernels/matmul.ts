import { MatmulScratch } from "../../src/graph/op";
import { TILE_ROWS } from "../lanes";
import { activate } from "../numeric";
import { pack_tile, packed_tile } from "./tile";

/** out[rows, 8] = activation(sums + bias) + residual for one tile. */
// @ts-ignore: decorator
@inline function epilogue(out: usize, sums: usize, bias: usize, residual: usize, rows: i32, ldo: usize, ldr: usize, activation: i32): void {
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
 * Rows of a are packed a block at a time, as many as stay in a second-level cache while the panels of b pass over them.
 *
 * scratch: see MatmulScratch (src/graph/op.ts); it overlaps nothing. Strides in floats. Up to 12 bytes behind a row of a are read, and
 * what they hold reaches no result.
 */
export function matmul(
  out: usize, a: usize, b: usize, bias: usize, residual: usize, scratch: usize,
  rows: i32, n: i32, k: i32, ldo: i32, lda: i32, ldr: i32, activation: i32,
): void {
  const so = <usize>ldo << 2, sa = <usize>lda << 2, sr = <usize>ldr << 2, panel = <usize>k << 5;
  const sums = scratch, packed = scratch + (MatmulScratch.sums << 2), tile = <usize>(k * TILE_ROWS) << 2;
  const block = max(MatmulScratch.cached / max(k, 1) / TILE_ROWS, 1) * TILE_ROWS;
  for (let first = 0; first < rows; first += block) {
    const last = min(first + block, rows);
    for (let i = first, to = packed; i < last; i += TILE_ROWS, to += tile) {
      pack_tile(to, a + <usize>i * sa, sa, min(TILE_ROWS, last - i), k);
    }
    for (let column = 0; column < n; column += 8) {
      const bj = b + <usize>(column >> 3) * panel, biasj = bias ? bias + (column << 2) : 0;
      for (let i = first, from = packed; i < last; i += TILE_ROWS, from += tile) {
        const row = <usize>i;
        packed_tile(sums, from, bj, k);
        epilogue(out + row * so + (column << 2), sums, biasj, residual ? residual + row * sr + (column << 2) : 0, min(TILE_ROWS, last - i), so, sr, activation);
      }
    }
  }
}
