/** What the specs share: poisoned memory, random numbers, f64 references and the ulp. */

/** A NaN with a mark: what no kernel may read into a result, and what must still stand where it had nothing to write. */
export const POISON: u32 = 0x7fc0dead;
const GUARD: i32 = 32;

/** rows × ld floats of poison between guards of 32 floats. Freed by nobody: a spec runs once. */
export function matrix(rows: i32, ld: i32): usize {
  const floats = rows * ld + 2 * GUARD;
  const start = (heap.alloc((floats << 2) + 64) + 31) & ~31;
  for (let i = 0; i < floats; i++) store<u32>(start + (i << 2), POISON);
  return start + (GUARD << 2);
}

let seed: u32 = 1;

/** Uniform in [-1, 1). */
export function random(): f32 {
  seed ^= seed << 13;
  seed ^= seed >> 17;
  seed ^= seed << 5;
  return <f32>(<i32>seed >> 8) * <f32>(1.0 / 8388608.0);
}

/** A matrix with random numbers of the given size in its columns and poison behind them. */
export function filled(rows: i32, cols: i32, ld: i32, size: f32): usize {
  const x = matrix(rows, ld);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++) set(x, r * ld + c, random() * size);
  }
  return x;
}

// @ts-ignore: decorator
@inline export function get(x: usize, i: i32): f32 {
  return load<f32>(x + (<usize>i << 2));
}

// @ts-ignore: decorator
@inline export function set(x: usize, i: i32, value: f32): void {
  store<f32>(x + (<usize>i << 2), value);
}

// @ts-ignore: decorator
@inline export function bits(x: usize, i: i32): u32 {
  return load<u32>(x + (<usize>i << 2));
}

/** cols rounded up to 8: the row stride of a matrix of the program. */
export function whole(cols: i32): i32 {
  return (cols + 7) & ~7;
}

/** Places of `out` that break the rule: zeros from cols to cols rounded up to 8, poison everywhere else outside the columns. */
export function spoiled(out: usize, rows: i32, cols: i32, ld: i32): i32 {
  let count = strays(out, rows, whole(cols), ld);
  for (let r = 0; r < rows; r++) {
    for (let c = cols; c < whole(cols); c++) if (bits(out, r * ld + c) != 0) count++;
  }
  return count;
}

/** Places outside the first `written` floats of each row that are no poison any more. */
export function strays(out: usize, rows: i32, written: i32, ld: i32): i32 {
  let count = 0;
  for (let i = 1; i <= GUARD; i++) {
    if (bits(out, -i) != POISON) count++;
    if (bits(out, rows * ld + i - 1) != POISON) count++;
  }
  for (let r = 0; r < rows; r++) {
    for (let c = written; c < ld; c++) if (bits(out, r * ld + c) != POISON) count++;
  }
  return count;
}

/** Floats of two matrices, or of a row of them, whose bits differ. */
export function differences(a: usize, b: usize, rows: i32, cols: i32, lda: i32, ldb: i32): i32 {
  let count = 0;
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < cols; c++) if (bits(a, r * lda + c) != bits(b, r * ldb + c)) count++;
  }
  return count;
}

/** Distance from the exact result in units of the last place of an f32 of its size. Equal infinities and NaN for NaN are 0. */
export function ulps(value: f32, exact: f64): f64 {
  if (value != value || exact != exact) return value != value && exact != exact ? 0 : Infinity;
  const near = <f32>exact;
  if (value == near) return 0;
  if (!isFinite(value) || !isFinite(near)) return Infinity;
  return abs(<f64>value - exact) / unit(near);
}

/** One unit in the last place of an f32 of this size. */
function unit(near: f32): f64 {
  const exponent = max<i32>((reinterpret<u32>(near) >> 23) & 255, 1);
  return reinterpret<f64>(<u64>(exponent - 150 + 1023) << 52);
}

/** The larger, NaN if one is: so that a NaN among errors is not lost. */
export function worse(a: f64, b: f64): f64 {
  return a != a || b != b ? NaN : max(a, b);
}

/** The normal distribution's Φ, in f64 with a relative error under 1e-12. */
export function normal(x: f64): f64 {
  const a = abs(x), density = NativeMath.exp(-0.5 * a * a) * 0.3989422804014327;
  let tail: f64;
  if (a < 3) {
    let term = a, sum = a;
    for (let n = 3.0; term > sum * 1e-17; n += 2) sum += term *= (a * a) / n;
    tail = 0.5 - density * sum;
  } else {
    // Laplace's continued fraction for (1 - Φ) / φ, from far inside.
    let fraction = a;
    for (let n = 100.0; n > 0; n--) fraction = a + n / fraction;
    tail = density / fraction;
  }
  return x < 0 ? tail : 1 - tail;
}
