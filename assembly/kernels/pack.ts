import { Dtype } from "../../src/graph/op";
import { shift, widen, widen_one } from "./convert";

/**
 * Panels of x as matmul's b: out[r >> 3][c][r & 7] = x[r][c], the last panel filled up with zeros.
 *
 * out [⌈rows / 8⌉][cols][8], x [rows, cols]. They must not overlap.
 */
export function pack(out: usize, x: usize, rows: i32, cols: i32, ldx: i32): void {
  for (; rows > 0; rows -= 8, x += ldx << 5, out += cols << 5) {
    if (rows < 8) memory.fill(out, 0, <usize>cols << 5);
    panel(out, x, <usize>ldx << 2, min(rows, 8), cols, Dtype.f32);
  }
}

/**
 * Rows first … first + rows - 1 of a weight W[N, K] into panels [⌈N / 8⌉][K][8], element (n, k) at ((n >> 3) · K + k) · 8 + (n & 7), so
 * that a file can come in pieces. Lanes of rows that did not come keep what was there: start from zeroed memory.
 *
 * out: the panels of row 0; bytes: the rows as the file has them, of type `dtype`, from any byte on. They must not overlap.
 */
export function pack_rows(out: usize, bytes: usize, first: i32, rows: i32, k: i32, dtype: i32): void {
  if (dtype == Dtype.f32) pack_rows_of(out, bytes, first, rows, k, Dtype.f32);
  else if (dtype == Dtype.bf16) pack_rows_of(out, bytes, first, rows, k, Dtype.bf16);
  else pack_rows_of(out, bytes, first, rows, k, Dtype.f16);
}

/**
 * The same for a weight stored [K, N] (GPT-2's Conv1D): rows first … first + rows - 1 along k, n floats each, of K = k rows in all.
 * Every row of a panel is written whole, zeros behind n.
 */
export function pack_columns(out: usize, bytes: usize, first: i32, rows: i32, n: i32, k: i32, dtype: i32): void {
  if (dtype == Dtype.f32) pack_columns_of(out, bytes, first, rows, n, k, Dtype.f32);
  else if (dtype == Dtype.bf16) pack_columns_of(out, bytes, first, rows, n, k, Dtype.bf16);
  else pack_columns_of(out, bytes, first, rows, n, k, Dtype.f16);
}

// @ts-ignore: decorator
@inline function pack_rows_of(out: usize, bytes: usize, first: i32, rows: i32, k: i32, dtype: i32): void {
  const stride = <usize>k << shift(dtype);
  for (let row = first, end = first + rows; row < end;) {
    const count = min(8 - (row & 7), end - row);
    panel(out + (<usize>(row >> 3) * k << 5) + ((row & 7) << 2), bytes, stride, count, k, dtype);
    bytes += <usize>count * stride;
    row += count;
  }
}

/** Rows of a panel: out[c][r] = x[r][c] for r < rows. Whole panels are transposed in registers, four columns at a time. */
// @ts-ignore: decorator
@inline function panel(out: usize, x: usize, stride: usize, rows: i32, cols: i32, dtype: i32): void {
  let c = 0;
  if (rows == 8) {
    const high = x + (stride << 2);
    for (const step = <usize>4 << shift(dtype); c + 4 <= cols; c += 4, out += 128) {
      const from = (<usize>c >> 2) * step;
      transpose(out, x + from, stride, dtype);
      transpose(out + 16, high + from, stride, dtype);
    }
  }
  for (; c < cols; ++c, out += 32) {
    const from = x + (<usize>c << shift(dtype));
    for (let r = 0; r < rows; ++r) v128.store_lane<f32>(out + (r << 2), widen_one(from + <usize>r * stride, dtype), 0);
  }
}

/** Four rows × four columns into the columns of a panel. */
// @ts-ignore: decorator
@inline function transpose(out: usize, x: usize, stride: usize, dtype: i32): void {
  const a = widen(x, dtype), b = widen(x + stride, dtype), c = widen(x + 2 * stride, dtype), d = widen(x + 3 * stride, dtype);
  const ab = v128.shuffle<i32>(a, b, 0, 4, 1, 5), cd = v128.shuffle<i32>(c, d, 0, 4, 1, 5);
  const AB = v128.shuffle<i32>(a, b, 2, 6, 3, 7), CD = v128.shuffle<i32>(c, d, 2, 6, 3, 7);
  v128.store(out, v128.shuffle<i64>(ab, cd, 0, 2), 0);
  v128.store(out, v128.shuffle<i64>(ab, cd, 1, 3), 32);
  v128.store(out, v128.shuffle<i64>(AB, CD, 0, 2), 64);
  v128.store(out, v128.shuffle<i64>(AB, CD, 1, 3), 96);
}

// @ts-ignore: decorator
@inline function pack_columns_of(out: usize, bytes: usize, first: i32, rows: i32, n: i32, k: i32, dtype: i32): void {
  out += <usize>first << 5;
  const next = <usize>k << 5;
  for (; rows > 0; --rows, out += 32) {
    let to = out, left = n;
    for (; left >= 8; left -= 8, to += next, bytes += 8 << shift(dtype)) {
      v128.store(to, widen(bytes, dtype));
      v128.store(to, widen(bytes + (4 << shift(dtype)), dtype), 16);
    }
    if (left) memory.fill(to, 0, 32);
    for (; left > 0; --left, to += 4, bytes += 1 << shift(dtype)) v128.store_lane<f32>(to, widen_one(bytes, dtype), 0);
  }
}
