import { pad } from "./rows";

/**
 * The k largest of each row of x, best first, equal ones by column, NaN after all numbers; where k > n, -inf with column -1 at the end.
 *
 * out f32 [rows, k], index i32 [rows, k] with the same row stride, x [rows, n]. No overlaps. Exact.
 * A heap of the best so far, the worst of them on top, lies in out (keys) and index; vectors that hold nothing better than the top are skipped.
 */
export function top_k(out: usize, index: usize, x: usize, rows: i32, n: i32, k: i32, ldo: i32, ldx: i32): void {
  for (; rows > 0; --rows, out += ldo << 2, index += ldo << 2, x += ldx << 2) {
    const size = min(k, n);
    for (let c = 0; c < size; ++c) rise(out, index, c, key(x, c), c);
    if (size == k && k > 0) scan(out, index, x, k, n);
    // The worst of the heap goes to the end of what is left, until the best stands first.
    for (let c = size - 1; c > 0; --c) {
      const key = at(out, c), column = at(index, c);
      put(out, c, at(out, 0)), put(index, c, at(index, 0));
      sink(out, index, c, key, column);
    }
    for (let c = 0; c < size; ++c) put(out, c, load<i32>(x + (<usize>at(index, c) << 2)));
    for (let c = size; c < k; ++c) put(out, c, 0xff800000), put(index, c, -1);
    pad(out, k);
    pad(index, k);
  }
}

function scan(out: usize, index: usize, x: usize, k: i32, n: i32): void {
  let c = k;
  while (c < n) {
    const bar = v128.load32_splat(x + (<usize>at(index, 0) << 2));
    for (; c + 8 <= n; c += 8) {
      const from = x + (<usize>c << 2);
      // "Not at most" rather than "above": a NaN on either side is looked at below, where keys decide.
      if (!i32x4.all_true(v128.and(f32x4.le(v128.load(from), bar), f32x4.le(v128.load(from, 16), bar)))) break;
    }
    for (const end = min(c + 8, n); c < end; ++c) {
      const better = key(x, c);
      if (better > at(out, 0)) sink(out, index, k, better, c);
    }
  }
}

/** The float as an integer of the same order: -0 as 0, NaN below all. */
// @ts-ignore: decorator
@inline function key(x: usize, c: i32): i32 {
  const v = load<f32>(x + (<usize>c << 2)) + 0;
  if (v != v) return i32.MIN_VALUE;
  const bits = reinterpret<i32>(v);
  return bits ^ ((bits >> 31) & i32.MAX_VALUE);
}

// @ts-ignore: decorator
@inline function at(list: usize, i: i32): i32 {
  return load<i32>(list + (<usize>i << 2));
}

// @ts-ignore: decorator
@inline function put(list: usize, i: i32, value: i32): void {
  store<i32>(list + (<usize>i << 2), value);
}

/** Whether entry i is worse than (key, column). */
// @ts-ignore: decorator
@inline function worse(out: usize, index: usize, i: i32, key: i32, column: i32): bool {
  const other = at(out, i);
  return other < key || (other == key && at(index, i) > column);
}

/** Puts an entry into place from leaf i upwards. */
function rise(out: usize, index: usize, i: i32, key: i32, column: i32): void {
  while (i > 0) {
    const parent = (i - 1) >> 1;
    if (worse(out, index, parent, key, column)) break;
    put(out, i, at(out, parent)), put(index, i, at(index, parent));
    i = parent;
  }
  put(out, i, key), put(index, i, column);
}

/** Puts an entry into place from the top of a heap of `size` downwards. */
function sink(out: usize, index: usize, size: i32, key: i32, column: i32): void {
  let i = 0;
  for (;;) {
    let child = 2 * i + 1;
    if (child >= size) break;
    if (child + 1 < size && worse(out, index, child + 1, at(out, child), at(index, child))) ++child;
    if (!worse(out, index, child, key, column)) break;
    put(out, i, at(out, child)), put(index, i, at(index, child));
    i = child;
  }
  put(out, i, key), put(index, i, column);
}
