import { Format } from "../../src/graph/op";
import { group_q4, row_bytes } from "./quantize";
import { pad } from "./rows";

/**
 * out[r] = table[ids[r]] · scale + residual[r].
 *
 * out [rows, cols], ids i32 [rows] (the caller has checked their range), table [v, cols] in `format` (a tied embedding lies as matmul reads
 * it): row stride ldt in Format.rows, `scales` beside it where it is quantised; residual [rows, cols] or 0. out may be residual. Exact to one
 * rounding for the product (two where it is quantised) and one for the sum.
 */
export function embed(
  out: usize, ids: usize, table: usize, scales: usize, residual: usize,
  rows: i32, cols: i32, ldo: i32, ldt: i32, ldr: i32, scale: f32, format: i32,
): void {
  if (format >= Format.q8) return embed_quantized(out, ids, table, scales, residual, rows, cols, ldo, ldr, scale, format);
  const s = f32x4.splat(scale);
  const end = <usize>cols << 2;
  for (; rows > 0; --rows, out += ldo << 2, ids += 4) {
    const id = load<u32>(ids);
    const row = format == Format.rows ? table + ((<usize>id * ldt) << 2) : table + (<usize>(id >> 3) * end << 3) + ((id & 7) << 2);
    for (let at: usize = 0; at < end; at += 16) {
      let v = f32x4.mul(format == Format.rows ? v128.load(row + at) : column(row + (at << 3)), s);
      if (residual) v = f32x4.add(v, v128.load(residual + at));
      v128.store(out + at, v);
    }
    pad(out, cols);
    if (residual) residual += ldr << 2;
  }
}

/** Four floats that stand 32 bytes apart. */
// @ts-ignore: decorator
@inline function column(from: usize): v128 {
  let v = v128.load32_zero(from);
  v = v128.load_lane<i32>(from, v, 1, 32);
  v = v128.load_lane<i32>(from, v, 2, 64);
  return v128.load_lane<i32>(from, v, 3, 96);
}

function embed_quantized(
  out: usize, ids: usize, table: usize, scales: usize, residual: usize, rows: i32, cols: i32, ldo: i32, ldr: i32, scale: f32, format: i32,
): void {
  const stride = <usize>row_bytes(cols, format);
  for (; rows > 0; --rows, out += ldo << 2, ids += 4) {
    const id = load<u32>(ids), row = table + <usize>id * stride;
    const s = f32x4.splat(load<f32>(scales + (<usize>(id >> 3) << 6) + ((id & 7) << 2)) * scale);
    for (let i = 0; i < cols; i += 8) {
      const q = format == Format.q4 ? group_q4(row, i, cols) : v128.load_ext<i8>(row + i), at = <usize>i << 2;
      let a = f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_low_i16x8_s(q)), s);
      let b = f32x4.mul(f32x4.convert_i32x4_s(i32x4.extend_high_i16x8_s(q)), s);
      if (residual) {
        a = f32x4.add(a, v128.load(residual + at));
        b = f32x4.add(b, v128.load(residual + at, 16));
      }
      v128.store(out + at, a);
      v128.store(out + at, b, 16);
    }
    pad(out, cols);
    if (residual) residual += ldr << 2;
  }
}
