/**
 * out[cols][8] = scale · x[8, cols]ᵀ: eight rows beside each other in lanes. Rows past `rows` repeat the last one, so nothing outside x is
 * read but up to 3 floats behind a row. out 16-byte aligned; x, with row stride `ldx` bytes, at any float; they do not overlap.
 */
export function transpose(out: usize, x: usize, ldx: usize, rows: i32, cols: i32, scale: f32): void {
  const scales = f32x4.splat(scale);
  const x1 = rows > 1 ? x + ldx : x;
  const x2 = rows > 2 ? x1 + ldx : x1;
  const x3 = rows > 3 ? x2 + ldx : x2;
  const x4 = rows > 4 ? x3 + ldx : x3;
  const x5 = rows > 5 ? x4 + ldx : x4;
  const x6 = rows > 6 ? x5 + ldx : x5;
  const x7 = rows > 7 ? x6 + ldx : x6;
  for (let at: usize = 0, left = cols; left > 0; left -= 4, at += 16, out += 128) {
    quarter(out, f32x4.mul(v128.load(x + at), scales), f32x4.mul(v128.load(x1 + at), scales), f32x4.mul(v128.load(x2 + at), scales), f32x4.mul(v128.load(x3 + at), scales), left);
    quarter(out + 16, f32x4.mul(v128.load(x4 + at), scales), f32x4.mul(v128.load(x5 + at), scales), f32x4.mul(v128.load(x6 + at), scales), f32x4.mul(v128.load(x7 + at), scales), left);
  }
}

/** out[rows, cols] = x[cols, 8]ᵀ, the way back: the first `rows` of eight rows, `ldo` bytes apart. Nothing outside them is written. */
export function transpose_back(out: usize, ldo: usize, x: usize, ldx: usize, rows: i32, cols: i32): void {
  for (; rows > 0; rows -= 4, out += ldo << 2, x += 16) {
    let to = out, from = x, left = cols;
    for (; left >= 4; left -= 4, to += 16, from += ldx << 2) {
      const a = v128.load(from), b = v128.load(from + ldx), c = v128.load(from + 2 * ldx), d = v128.load(from + 3 * ldx);
      const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5), AB = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
      const cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5), CD = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
      v128.store(to, v128.shuffle<f32>(ab, cd, 0, 1, 4, 5));
      if (rows > 1) v128.store(to + ldo, v128.shuffle<f32>(ab, cd, 2, 3, 6, 7));
      if (rows > 2) v128.store(to + 2 * ldo, v128.shuffle<f32>(AB, CD, 0, 1, 4, 5));
      if (rows > 3) v128.store(to + 3 * ldo, v128.shuffle<f32>(AB, CD, 2, 3, 6, 7));
    }
    for (; left > 0; left--, to += 4, from += ldx) {
      for (let row: usize = 0; row < <usize>min(rows, 4); row++) store<f32>(to + row * ldo, load<f32>(from + (row << 2)));
    }
  }
}

/** One 4 × 4 transpose, its first `left` rows stored 32 bytes apart. */
// @ts-ignore: decorator
@inline function quarter(out: usize, a: v128, b: v128, c: v128, d: v128, left: i32): void {
  const ab = v128.shuffle<f32>(a, b, 0, 4, 1, 5), AB = v128.shuffle<f32>(a, b, 2, 6, 3, 7);
  const cd = v128.shuffle<f32>(c, d, 0, 4, 1, 5), CD = v128.shuffle<f32>(c, d, 2, 6, 3, 7);
  v128.store(out, v128.shuffle<f32>(ab, cd, 0, 1, 4, 5));
  if (left > 1) v128.store(out, v128.shuffle<f32>(ab, cd, 2, 3, 6, 7), 32);
  if (left > 2) v128.store(out, v128.shuffle<f32>(AB, CD, 0, 1, 4, 5), 64);
  if (left > 3) v128.store(out, v128.shuffle<f32>(AB, CD, 2, 3, 6, 7), 96);
}
