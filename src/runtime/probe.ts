import { Format, Matmul, Op, Record } from "../graph/op.ts";
import { rowBytes } from "../graph/ops.ts";
import type { Engine } from "./engine.ts";

const [ROWS, N, K] = [24, 32, 256];
/** Bytes that the trial takes behind `at`: record, activations, weights, scales, results, scratch. */
export const PROBE = 65536;

/**
 * Lets the module sum integers by the dot product that adds to 32 bits where that is much faster here, as on ARM and newer x64: one instruction
 * there, three elsewhere. Both ways give the same integers, so this may be tried, and may go wrong, at any time. Takes a millisecond
 * or two; a clock that stands still (Workers) decides nothing.
 */
export function probe({ exports, memory }: Engine, at: number): void {
  const a = at + Record.words * 4;
  const b = a + ROWS * K * 4;
  const scales = b + N * rowBytes(K, Format.q8);
  const out = scales + N * 8;
  const words = new Int32Array(Record.words);
  const set = {
    [Record.op]: Op.matmul,
    [Record.rows]: ROWS,
    [Record.out]: out,
    [Matmul.a]: a,
    [Matmul.b]: b,
    [Matmul.n]: N,
    [Matmul.k]: K,
    [Matmul.ldo]: N,
    [Matmul.lda]: K,
    [Matmul.scratch]: out + ROWS * N * 4,
    [Matmul.format]: Format.q8,
    [Matmul.scales]: scales,
  };
  for (const [i, word] of Object.entries(set)) words[+i] = word;
  memory.u8(at, PROBE).fill(0);
  memory.write(at, words);
  const time = (fused: boolean) => {
    exports.fuse_dots(+fused);
    const start = performance.now();
    let calls = 0;
    let took = 0;
    // One call takes some 20 µs; the clock of a page may move by 100.
    do {
      exports.run(at, 0, 1, 0, 1);
      took = performance.now() - start;
    } while (took === 0 && ++calls < 16);
    return took / (calls + 1);
  };
  const best = { plain: Number.POSITIVE_INFINITY, fused: Number.POSITIVE_INFINITY };
  for (let round = 0; round < 5; round++) {
    best.plain = Math.min(best.plain, time(false));
    if (best.plain === 0) return;
    best.fused = Math.min(best.fused, time(true));
  }
  exports.fuse_dots(+(best.fused < 0.7 * best.plain));
}
