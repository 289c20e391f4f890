import { Pooling } from "../../src/graph/op";
import { pad } from "./rows";

/**
 * One row for each sequence, over its visible rows, as sentence-transformers' Pooling:
 * mean: Σ x / max(n, 1e-9); mean_sqrt_len: Σ x / √max(n, 1e-9); max: the largest in each column (-1e9 where no row is visible);
 * weightedmean (arXiv:2202.08904): Σ w · x / max(Σ w, 1e-9), w counting rows from 1 at the sequence's first one: a prompt that is
 * not pooled keeps its places.
 *
 * Works on sequences first … last - 1; all pointers are those of sequence 0. out [sequences, cols], x [rows, cols], offsets
 * i32 [sequences + 1], visible i32 [rows] or 0 for all, mode a Pooling. out must not overlap x. f64 accumulators, rounded once.
 */
export function pool(
  out: usize, x: usize, offsets: usize, visible: usize, first: i32, last: i32, mode: i32, cols: i32, ldo: i32, ldx: i32,
): void {
  for (let sequence = first; sequence < last; ++sequence) {
    const begin = load<i32>(offsets + (sequence << 2)), end = load<i32>(offsets + (sequence << 2), 4);
    const to = out + ((<usize>sequence * ldo) << 2);
    let count = 0;
    let weights: f64 = 0;
    for (let row = begin; row < end; ++row) {
      if (!seen(visible, row)) continue;
      weights += mode == Pooling.weightedmean ? <f64>(row - begin + 1) : 1;
      ++count;
    }
    let divisor = max<f64>(weights, 1e-9);
    if (mode == Pooling.mean_sqrt_len) divisor = sqrt<f64>(divisor);
    for (let at: usize = 0, width = <usize>cols << 2; at < width; at += 16) {
      const v = mode == Pooling.max
        ? count ? largest(x + at, visible, begin, end, ldx) : f32x4.splat(-1e9)
        : mean(x + at, visible, begin, end, ldx, mode == Pooling.weightedmean ? 1 : 0, divisor);
      v128.store(to + at, v);
    }
    pad(to, cols);
  }
}

// @ts-ignore: decorator
@inline function seen(visible: usize, row: i32): bool {
  return !visible || load<i32>(visible + (<usize>row << 2)) != 0;
}

/** Σ w · x / divisor of four columns, w = 1 + step · (row - start). */
function mean(x: usize, visible: usize, start: i32, end: i32, ldx: i32, step: f64, divisor: f64): v128 {
  let a = f64x2.splat(0), b = a;
  for (let row = start; row < end; ++row) {
    if (!seen(visible, row)) continue;
    const v = v128.load(x + ((<usize>row * ldx) << 2));
    const w = f64x2.splat(1 + step * <f64>(row - start));
    a = f64x2.add(a, f64x2.mul(f64x2.promote_low_f32x4(v), w));
    b = f64x2.add(b, f64x2.mul(f64x2.promote_low_f32x4(v128.shuffle<i32>(v, v, 2, 3, 0, 1)), w));
  }
  const d = f64x2.splat(divisor);
  a = f32x4.demote_f64x2_zero(f64x2.div(a, d));
  b = f32x4.demote_f64x2_zero(f64x2.div(b, d));
  return v128.shuffle<i32>(a, b, 0, 1, 4, 5);
}

/** The largest of four columns, NaN where one is NaN, as torch.max. */
function largest(x: usize, visible: usize, start: i32, end: i32, ldx: i32): v128 {
  let m = f32x4.splat(-Infinity);
  for (let row = start; row < end; ++row) {
    if (seen(visible, row)) m = f32x4.max(m, v128.load(x + ((<usize>row * ldx) << 2)));
  }
  return m;
}
