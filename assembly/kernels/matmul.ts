import { MatmulScratch } from "../../src/graph/op";
import { TILE_ROWS } from "../lanes";
import { activate } from "../numeric";
import { pack_strip, packed_tile } from "./tile";

/** out[rows, 8] = activation(sums + bias) + residual for one tile. */
// @ts-ignore: decorator
@inline function epilogue(out: usize, sums: usize, bias: usize, residual: usize, rows: i32, ldo: usize, ldr: usize, activation: i32): void {
  const bias0 = bias ? v128.load(bias) : f32x4.splat(0);
  const bias1 = bias ? v128.load(bias, 16) : f32x4.splat(0);
  const end = sums + (rows << 5);
  if (!activation && !residual) {
    for (; sums < end; sums += 32, out += ldo) {
      v128.store(out, f32x4.add(v128.load(sums), bias0));
      v128.store(out, f32x4.add(v128.load(sums, 16), bias1), 16);
    }
    return;
  }
  for (; sums < end; sums += 32, out += ldo) {
    let c0 = f32x4.add(v128.load(sums), bias0), c1 = f32x4.add(v128.load(sums, 16), bias1);
    if (activation) {
      c0 = activate(c0, activation);
      c1 = activate(c1, activation);
    }
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
 * Rows of a are packed a block at a time and panels are taken a group at a time, as many of each as stay in a second-level cache: a tile
 * of rows stays in the first-level cache while a group passes over it, and new panels come from memory in long runs.
 *
 * scratch: see MatmulScratch (src/graph/op.ts); it overlaps nothing. Strides in floats. Up to 12 bytes behind a row of a are read, and
 * what they hold reaches no result.
 */
export function matmul(
  out: usize, a: usize, b: usize, bias: usize, residual: usize, scratch: usize,
  rows: i32, n: i32, k: i32, ldo: i32, lda: i32, ldr: i32, activation: i32,
): void {
  const so = <usize>ldo << 2, sa = <usize>lda << 2, sr = <usize>ldr << 2, row = <usize>k << 2, panel = row << 3;
  const sums = scratch, packed = scratch + (MatmulScratch.sums << 2), cached = MatmulScratch.cached / max(k, 1);
  const block = max(cached / TILE_ROWS, 1) * TILE_ROWS, panels = (n + 7) >> 3, group = max(cached >> 3, 1);
  for (let first = 0; first < rows; first += block) {
    // Tiles as even as can be: a short one has too few chains to fill the pipeline. `more` rows are in tiles of fewest + 1, the others follow.
    const m = min(block, rows - first), tiles = (m + TILE_ROWS - 1) / TILE_ROWS, fewest = m / tiles, more = (m - fewest * tiles) * (fewest + 1);
    // One row lies as if packed.
    const from = m == 1 ? a + <usize>first * sa : packed;
    for (let i = 0, r = 0; m > 1 && i < m; i += r) {
      r = fewest + i32(i < more);
      pack_strip(packed + <usize>i * row, a + <usize>(first + i) * sa, sa, r, r, k);
    }
    // One or two rows take panels from several places, so that each place is read from end to end; what is left over follows.
    let step = m <= 2 ? 4 / m : 1;
    const apart = panels / step;
    for (let start = 0; start < panels;) {
      const stop = step > 1 ? apart : min(start + group, panels);
      for (let i = 0, r = 0; i < m; i += r) {
        r = fewest + i32(i < more);
        const at = <usize>(first + i);
        for (let j = start; j < stop; j++) {
          packed_tile(r, step, sums, from + <usize>i * row, b + <usize>j * panel, <usize>apart * panel, k);
          for (let p = 0; p < step; p++) {
            const to = <usize>(j + p * apart) << 5;
            epilogue(out + at * so + to, sums + <usize>(p * r << 5), bias ? bias + to : 0, residual ? residual + at * sr + to : 0, r, so, sr, activation);
          }
        }
      }
      start = step > 1 ? apart * step : stop;
      step = 1;
    }
  }
}
