import type { Bound, Step } from "../graph/lower.ts";
import type { Op } from "../graph/op.ts";
import { platform } from "../platform.ts";
import type { Engine } from "./engine.ts";

/** What one op of a run cost. */
export interface Profiled {
  op: Op;
  rows: number;
  cols: number;
  milliseconds: number;
  /** Billions of floating-point operations a second, of ops that are counted so. */
  gflops?: number;
  /** Bytes read and written, each value once. */
  bytes: number;
}

/** Runs the ops of a list that is in place, one by one. */
export async function profile(engine: Engine, { at, steps }: Bound, signal?: AbortSignal): Promise<Profiled[]> {
  const profiled: Profiled[] = [];
  for (const step of steps) {
    const start = performance.now();
    await engine.run(at, [step], signal);
    profiled.push(measured(step, performance.now() - start));
    await platform().pause(); // ops that are short each are long together
  }
  return profiled;
}

function measured({ node, flops, bytes, rows }: Step, milliseconds: number): Profiled {
  const gflops = flops ? flops / milliseconds / 1e6 : undefined;
  return { op: node.op as Op, rows, cols: node.cols, milliseconds, gflops, bytes };
}
