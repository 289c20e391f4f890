import { pad } from "./rows";

/**
 * out[r] = table[ids[r]] · scale + residual[r].
 *
 * out [rows, cols], ids i32 [rows] (the caller has checked their range), table [v, cols] with row stride ldt, or with ldt = 0 packed in
 * panels [v/8][cols][8] as matmul reads a tied embedding; residual [rows, cols] or 0. out may be residual. Exact to one rounding for
 * the product and one for the sum.
 */
export function embed(
  out: usize, ids: usize, table: usize, residual: usize, rows: i32, cols: i32, ldo: i32, ldt: i32, ldr: i32, scale: f32,
): void {
  const s = f32x4.splat(scale);
  const end = <usize>cols << 2;
  for (; rows > 0; --rows, out += ldo << 2, ids += 4) {
    const id = load<u32>(ids);
    const row = ldt ? table + ((<usize>id * ldt) << 2) : table + (<usize>(id >> 3) * end << 3) + ((id & 7) << 2);
    for (let at: usize = 0; at < end; at += 16) {
      let v = f32x4.mul(ldt ? v128.load(row + at) : column(row + (at << 3)), s);
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
