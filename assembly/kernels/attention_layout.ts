import { Attention, Unbounded } from "../../src/graph/op";

/** Keys of a block. Blocks lie at fixed places from the sequence's first key. A multiple of every TILE_ROWS. */
export const KEYS: i32 = 96;
/** Queries of a tile: whole lane groups, and whole row tiles of 6 (relaxed) or 4 (simd). */
export const QUERIES: i32 = 24;
/** Queries that share a packed block of keys: whole tiles. */
export const SPAN: i32 = 192;
/** Queries of a lane group: two vectors. */
export const LANES: i32 = 8;
/** Bytes of a key's row of scores. */
export const ROW: usize = QUERIES * 4;

/** Below every score but those that are masked with -inf, so that a maximum is never -inf and no difference is NaN. */
export const LOWEST: f32 = -f32.MAX_VALUE;

// What lies where in attention's scratch, in bytes. First i32[192] and f32[192]: the queries' positions, running maximum, running sum.
export const POSITIONS: usize = 0;
export const MAXIMUM: usize = SPAN * 4;
export const SUM: usize = SPAN * 8;
/** f32[8]: one lane group's maximum with the block that is under way. */
export const NEXT: usize = SPAN * 12;
/** f32[24]: what the block scales the sums of a tile by. */
export const RESCALE: usize = NEXT + LANES * 4;
/** f32[96][8]: what is added to a lane group's scores, where it must be turned round first. */
export const TERMS: usize = RESCALE + QUERIES * 4;
/** f32[96][24]: a tile's scores, which become its probabilities. */
export const SCORES: usize = TERMS + KEYS * LANES * 4;
/**
 * f32[24][head_dim][8] queries; with panels = value_dim rounded up to 8 / 8: f32[panels][192][8], what the values sum up to,
 * f32[panels][96][8] values; then f32[96 / TILE_ROWS][head_dim][TILE_ROWS] keys.
 */
export const PACKED: usize = SCORES + KEYS * QUERIES * 4;

// @ts-ignore: decorator
@inline export function word(args: usize, index: i32): i32 {
  return load<i32>(args + (<usize>index << 2));
}

// @ts-ignore: decorator
@inline export function number(args: usize, index: i32): f32 {
  return load<f32>(args + (<usize>index << 2));
}

/** First query or key row of a sequence: offsets is i32[sequences + 1]. */
// @ts-ignore: decorator
@inline export function row_of(args: usize, offsets: i32, sequence: i32): i32 {
  return load<i32>(<usize>word(args, offsets) + (<usize>sequence << 2));
}

/** The row behind a sequence's last key. */
// @ts-ignore: decorator
@inline export function k_end(args: usize, sequence: i32): i32 {
  return word(args, Attention.k_ends) ? row_of(args, Attention.k_ends, sequence) : row_of(args, Attention.k_offsets, sequence + 1);
}

/** The smallest and the largest distance k_position - q_position that is seen. */
// @ts-ignore: decorator
@inline export function left_of(args: usize): i32 {
  const left = word(args, Attention.left);
  return left >= Unbounded.value ? i32.MIN_VALUE : -left;
}
// @ts-ignore: decorator
@inline export function right_of(args: usize): i32 {
  const right = word(args, Attention.right);
  return right >= Unbounded.value ? i32.MAX_VALUE : right;
}

/** Of n positions, n > 0. */
export function least_of(positions: usize, n: i32): i32 {
  let least = load<i32>(positions);
  for (let i: usize = 4; i < <usize>n << 2; i += 4) least = min(least, load<i32>(positions + i));
  return least;
}
export function most_of(positions: usize, n: i32): i32 {
  let most = load<i32>(positions);
  for (let i: usize = 4; i < <usize>n << 2; i += 4) most = max(most, load<i32>(positions + i));
  return most;
}
