/** Bytes that must stay in place from step `first` to step `last`, both included. */
export interface Buffer {
  readonly bytes: number;
  readonly first: number;
  readonly last: number;
}

export const ALIGNMENT = 64;

export function align(bytes: number): number {
  return Math.ceil(bytes / ALIGNMENT) * ALIGNMENT;
}

/**
 * Gives each buffer an offset so that no two that live at the same time overlap; the largest are placed first, each in the lowest gap
 * that holds it (greedy by size, arXiv:2001.03288). Offsets are multiples of 64.
 */
export function plan(buffers: readonly Buffer[]): { offsets: number[]; bytes: number } {
  const offsets = new Array<number>(buffers.length).fill(0);
  const order = buffers.map((_, i) => i).sort((a, b) => buffers[b].bytes - buffers[a].bytes || a - b);
  const placed: number[] = []; // by offset
  let bytes = 0;
  for (const i of order) {
    const { first, last, bytes: size } = buffers[i];
    let at = 0;
    for (const j of placed) {
      const other = buffers[j];
      if (other.last < first || other.first > last) continue;
      if (offsets[j] >= at + size) break;
      at = Math.max(at, align(offsets[j] + other.bytes));
    }
    offsets[i] = at;
    placed.splice(placed.findLastIndex((j) => offsets[j] <= at) + 1, 0, i);
    bytes = Math.max(bytes, at + align(size));
  }
  return { offsets, bytes };
}
