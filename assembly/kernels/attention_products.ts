import { fma, TILE_ROWS } from "../lanes";
import { KEYS, ROW } from "./attention_layout";

/**
 * scores[keys][8] = k[keys, dim] · q[dim][8], and next = max(maximum, scores): eight queries in lanes, a block of keys.
 *
 * k as pack_tile lays it, [keys / TILE_ROWS][dim][TILE_ROWS]; scores with rows of [24]. Whole tiles are written: rows behind the last
 * key repeat it. One chain of multiply-adds a score, over dim from first to last, so it depends neither on the tile nor on its neighbours.
 */
export function score(scores: usize, k: usize, q: usize, keys: i32, dim: i32, maximum: usize, next: usize): void {
  let m0 = v128.load(maximum), m1 = v128.load(maximum, 16);
  const size = <usize>(dim * TILE_ROWS) << 2;
  for (; keys > 0; keys -= TILE_ROWS, scores += <usize>TILE_ROWS * ROW) {
    let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
    let c40 = c00, c41 = c00, c50 = c00, c51 = c00;
    let b = q;
    for (const end = k + size; k < end; k += <usize>TILE_ROWS << 2, b += 32) {
      const b0 = v128.load(b), b1 = v128.load(b, 16);
      let s = v128.load32_splat(k);
      c00 = fma(s, b0, c00); c01 = fma(s, b1, c01);
      s = v128.load32_splat(k, 4);
      c10 = fma(s, b0, c10); c11 = fma(s, b1, c11);
      s = v128.load32_splat(k, 8);
      c20 = fma(s, b0, c20); c21 = fma(s, b1, c21);
      s = v128.load32_splat(k, 12);
      c30 = fma(s, b0, c30); c31 = fma(s, b1, c31);
      if (TILE_ROWS == 6) {
        s = v128.load32_splat(k, 16);
        c40 = fma(s, b0, c40); c41 = fma(s, b1, c41);
        s = v128.load32_splat(k, 20);
        c50 = fma(s, b0, c50); c51 = fma(s, b1, c51);
      }
    }
    v128.store(scores, c00); v128.store(scores, c01, 16);
    v128.store(scores, c10, 96); v128.store(scores, c11, 112);
    v128.store(scores, c20, 192); v128.store(scores, c21, 208);
    v128.store(scores, c30, 288); v128.store(scores, c31, 304);
    let n0 = f32x4.pmax(f32x4.pmax(c00, c10), f32x4.pmax(c20, c30)), n1 = f32x4.pmax(f32x4.pmax(c01, c11), f32x4.pmax(c21, c31));
    if (TILE_ROWS == 6) {
      v128.store(scores, c40, 384); v128.store(scores, c41, 400);
      v128.store(scores, c50, 480); v128.store(scores, c51, 496);
      n0 = f32x4.pmax(n0, f32x4.pmax(c40, c50)); n1 = f32x4.pmax(n1, f32x4.pmax(c41, c51));
    }
    m0 = f32x4.pmax(m0, n0); m1 = f32x4.pmax(m1, n1);
  }
  v128.store(next, m0); v128.store(next, m1, 16);
}

/**
 * c[TILE_ROWS][8] = c · rescale[TILE_ROWS] + pᵀ · v[keys, 8]: TILE_ROWS queries, eight floats of the values, a block of keys.
 *
 * p: TILE_ROWS floats of each row of [keys][24]; v with row stride `ldv` bytes, at any float. `fresh`: c counts as 0, whatever it holds.
 * The block is summed from its first key to its last and then added, so a result depends on its own row alone.
 */
export function values(c: usize, rescale: usize, p: usize, v: usize, ldv: usize, keys: i32, fresh: bool): void {
  let c00 = f32x4.splat(0), c01 = c00, c10 = c00, c11 = c00, c20 = c00, c21 = c00, c30 = c00, c31 = c00;
  let c40 = c00, c41 = c00, c50 = c00, c51 = c00;
  for (const end = p + <usize>keys * ROW; p < end; p += ROW, v += ldv) {
    const b0 = v128.load(v), b1 = v128.load(v, 16);
    let s = v128.load32_splat(p);
    c00 = fma(s, b0, c00); c01 = fma(s, b1, c01);
    s = v128.load32_splat(p, 4);
    c10 = fma(s, b0, c10); c11 = fma(s, b1, c11);
    s = v128.load32_splat(p, 8);
    c20 = fma(s, b0, c20); c21 = fma(s, b1, c21);
    s = v128.load32_splat(p, 12);
    c30 = fma(s, b0, c30); c31 = fma(s, b1, c31);
    if (TILE_ROWS == 6) {
      s = v128.load32_splat(p, 16);
      c40 = fma(s, b0, c40); c41 = fma(s, b1, c41);
      s = v128.load32_splat(p, 20);
      c50 = fma(s, b0, c50); c51 = fma(s, b1, c51);
    }
  }
  add(c, v128.load32_splat(rescale), c00, c01, fresh);
  add(c + 32, v128.load32_splat(rescale, 4), c10, c11, fresh);
  add(c + 64, v128.load32_splat(rescale, 8), c20, c21, fresh);
  add(c + 96, v128.load32_splat(rescale, 12), c30, c31, fresh);
  if (TILE_ROWS == 6) {
    add(c + 128, v128.load32_splat(rescale, 16), c40, c41, fresh);
    add(c + 160, v128.load32_splat(rescale, 20), c50, c51, fresh);
  }
}

// @ts-ignore: decorator
@inline function add(c: usize, rescale: v128, c0: v128, c1: v128, fresh: bool): void {
  const zero = f32x4.splat(0);
  v128.store(c, fma(fresh ? zero : v128.load(c), rescale, c0));
  v128.store(c, fma(fresh ? zero : v128.load(c, 16), rescale, c1), 16);
}

/** out[cols / 8][96][8] = v[keys, cols]: values as `values` reads them. Reads up to 28 bytes behind a row. */
export function pack_values(out: usize, v: usize, ldv: usize, keys: i32, cols: i32): void {
  for (; keys > 0; keys--, v += ldv, out += 32) {
    let to = out;
    for (let from = v, end = v + (<usize>cols << 2); from < end; from += 32, to += KEYS << 5) {
      v128.store(to, v128.load(from)); v128.store(to, v128.load(from, 16), 16);
    }
  }
}
