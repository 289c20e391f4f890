import { fma } from "../lanes";
import { cos } from "../numeric";
import { pad } from "./rows";

/**
 * out[r] = scale · cos(angle) for i < half, then scale · sin(angle), angle = positions[r] · inv_freq[i] (arXiv:2104.09864).
 *
 * out [rows, 2 · half], positions i32 [rows], inv_freq f32 [half], or [rows, half] where its stride ldf is not 0. As in PyTorch the position, the angle, the function and the product
 * with scale are each rounded to f32; the function itself is right to 0.501 ulp for angles below 4e8.
 */
export function rotary_table(
  out: usize, positions: usize, inv_freq: usize, rows: i32, half: i32, ldo: i32, ldf: i32, scale: f32,
): void {
  const width = <usize>half << 2;
  for (; rows > 0; --rows, out += ldo << 2, positions += 4, inv_freq += ldf << 2) {
    const position = <f32>load<i32>(positions);
    for (let at: usize = 0; at < width; at += 4) {
      const angle = <f64>(position * load<f32>(inv_freq + at));
      store<f32>(out + at, <f32>cos(angle, 0) * scale);
      store<f32>(out + width + at, <f32>cos(angle, 1) * scale);
    }
    pad(out, half << 1);
  }
}

/**
 * Rotates pairs of each head: (a, b) becomes (a · cos - b · sin, b · cos + a · sin) (arXiv:2104.09864). Pairs are floats (i, i + half) of
 * a head, or (2i, 2i + 1) if interleaved, for i < half; the head's other floats stay.
 *
 * out and x [rows, heads · head_dim], table [rows, 2 · half] of rotary_table. out may be x. |error| ≤ 2⁻²³ · (|a| + |b|).
 */
export function rotary(
  out: usize, x: usize, table: usize, rows: i32, heads: i32, head_dim: i32, half: i32, ldo: i32, ldx: i32, ldt: i32, interleaved: bool,
): void {
  const width = <usize>half << 2, turned = width << 1, size = <usize>head_dim << 2;
  for (; rows > 0; --rows, out += ldo << 2, x += ldx << 2, table += ldt << 2) {
    for (let head: usize = 0, end = <usize>heads * size; head < end; head += size) {
      if (interleaved) turn_interleaved(out + head, x + head, table, width);
      else turn(out + head, x + head, table, width);
      if (turned < size && out != x) memory.copy(out + head + turned, x + head + turned, size - turned);
    }
    pad(out, heads * head_dim);
  }
}

/** The pairs left over from whole vectors go one by one: in place, a vector's spare lanes would overwrite the second half. */
// @ts-ignore: decorator
@inline function turn(out: usize, x: usize, table: usize, width: usize): void {
  let at: usize = 0;
  for (const whole = width & ~15; at < whole; at += 16) {
    const c = v128.load(table + at), s = v128.load(table + width + at);
    const a = v128.load(x + at), b = v128.load(x + width + at);
    v128.store(out + at, fma(a, c, f32x4.neg(f32x4.mul(b, s))));
    v128.store(out + width + at, fma(b, c, f32x4.mul(a, s)));
  }
  for (; at < width; at += 4) {
    const c = v128.load32_zero(table + at), s = v128.load32_zero(table + width + at);
    const a = v128.load32_zero(x + at), b = v128.load32_zero(x + width + at);
    v128.store_lane<f32>(out + at, fma(a, c, f32x4.neg(f32x4.mul(b, s))), 0);
    v128.store_lane<f32>(out + width + at, fma(b, c, f32x4.mul(a, s)), 0);
  }
}

// @ts-ignore: decorator
@inline function turn_interleaved(out: usize, x: usize, table: usize, width: usize): void {
  for (let at: usize = 0; at < width; at += 4) {
    let c = v128.load32_splat(table + at), s = v128.load32_splat(table + width + at);
    s = v128.xor(s, i32x4(0x80000000, 0, 0, 0));
    const v = v128.load64_zero(x + (at << 1));
    v128.store_lane<i64>(out + (at << 1), fma(v, c, f32x4.mul(v128.shuffle<i32>(v, v, 1, 0, 3, 2), s)), 0);
  }
}
