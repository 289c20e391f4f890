import { pad } from "./rows";

/**
 * out[r] = rows r - before … r - before + width - 1 of x beside each other, zeros for those outside r's sequence or not visible: what
 * a convolution over tokens multiplies by its weights.
 *
 * Works on rows first … last - 1; all pointers are those of row 0. out [rows, width · cols], x [rows, cols], offsets i32 [sequences + 1],
 * visible i32 [rows] or 0 for all. out must not overlap x.
 */
export function unfold(
  out: usize, x: usize, offsets: usize, visible: usize, sequences: i32, first: i32, last: i32, cols: i32, width: i32, before: i32,
  ldo: i32, ldx: i32,
): void {
  const size = <usize>cols << 2;
  for (let row = first; row < last; ++row) {
    while (sequences > 1 && row >= load<i32>(offsets, 4)) {
      offsets += 4;
      --sequences;
    }
    const begin = load<i32>(offsets), end = load<i32>(offsets, 4);
    const start = out + ((<usize>row * ldo) << 2);
    let to = start;
    for (let from = row - before, stop = from + width; from < stop; ++from, to += size) {
      if (from >= begin && from < end && (!visible || load<i32>(visible + (<usize>from << 2)))) {
        memory.copy(to, x + ((<usize>from * ldx) << 2), size);
      } else memory.fill(to, 0, size);
    }
    pad(start, width * cols);
  }
}
