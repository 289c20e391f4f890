import { Pooling } from "../../src/graph/op";
import { pool } from "../../assembly/kernels/pool";
import { unfold } from "../../assembly/kernels/unfold";
import { bits, differences, filled, get, matrix, POISON, spoiled, ulps, whole, worse } from "./oracle";

const SIZES: StaticArray<i32> = [1, 3, 4, 7, 8, 36, 50, 384];
const SEQUENCES: i32 = 6, ROWS: i32 = 21;
/** One is empty, one has no visible row, one starts and ends with invisible ones and has a hole. */
const offsets = memory.data<i32>([0, 1, 5, 5, 14, 17, 21]);
const visible = memory.data<i32>([1, 1, 1, 1, 1, 0, 0, 1, 7, 0, -1, 1, 0, 0, 0, 0, 0, 1, 0, 1, 1]);

// @ts-ignore: decorator
@inline function word(list: usize, i: i32): i32 {
  return load<i32>(list + (i << 2));
}

describe("pool", () => {
  it("is sentence-transformers' Pooling in all its modes, rounded once", () => {
    let error: f64 = 0;
    for (let i = 0; i < SIZES.length; i++) {
      const cols = SIZES[i], ldx = cols + 13, ldo = whole(cols) + 8;
      const x = filled(ROWS, cols + 3, ldx, 3) + 12;
      for (let mode: i32 = Pooling.mean; mode <= Pooling.weightedmean; mode++) {
        for (let masked = 0; masked < 2; masked++) {
          const seen = masked ? visible : 0, out = matrix(SEQUENCES, ldo), parts = matrix(SEQUENCES, ldo);
          pool(out, x, offsets, seen, 0, SEQUENCES, mode, cols, ldo, ldx);
          for (let s = SEQUENCES - 1; s >= 0; s--) pool(parts, x, offsets, seen, s, s + 1, mode, cols, ldo, ldx);
          expect<i32>(differences(out, parts, SEQUENCES, cols, ldo, ldo)).toBe(0, "sequences one by one");
          expect<i32>(spoiled(out, SEQUENCES, cols, ldo)).toBe(0, "padding and guards");
          for (let s = 0; s < SEQUENCES; s++) {
            for (let c = 0; c < cols; c++) {
              let sum: f64 = 0, weights: f64 = 0, most: f64 = -Infinity, position: f64 = 0;
              for (let r = word(offsets, s); r < word(offsets, s + 1); r++) {
                const shown = !masked || word(visible, r) != 0;
                position++;
                if (!shown) continue;
                const w = mode == Pooling.weightedmean ? position : 1, v = <f64>get(x, r * ldx + c);
                sum += w * v;
                weights += w;
                most = max(most, v);
              }
              if (most == -Infinity) most = <f64>(<f32>-1e9);
              const n = max(weights, 1e-9);
              const want = mode == Pooling.max ? most : sum / (mode == Pooling.mean_sqrt_len ? sqrt<f64>(n) : n);
              error = worse(error, ulps(get(out, s * ldo + c), want));
            }
          }
        }
      }
    }
    log<f64>(error);
    expect<f64>(error).toBe(0);
  });
});

describe("unfold", () => {
  it("lays neighbours of a sequence side by side, zeros beyond its ends and for invisible ones", () => {
    for (let i = 0; i < SIZES.length - 1; i++) {
      const cols = SIZES[i], ldx = cols + 13;
      const x = filled(ROWS, cols + 3, ldx, 3) + 12;
      for (let width = 1; width < 5; width++) {
        const before = width >> 1, ldo = whole(width * cols) + 8;
        for (let masked = 0; masked < 2; masked++) {
          const seen = masked ? visible : 0, out = matrix(ROWS, ldo), parts = matrix(ROWS, ldo);
          unfold(out, x, offsets, seen, SEQUENCES, 0, ROWS, cols, width, before, ldo, ldx);
          for (let r = 0; r < ROWS; r += 4) {
            unfold(parts, x, offsets, seen, SEQUENCES, r, min(r + 4, ROWS), cols, width, before, ldo, ldx);
          }
          let wrong = 0;
          for (let s = 0; s < SEQUENCES; s++) {
            for (let r = word(offsets, s); r < word(offsets, s + 1); r++) {
              for (let w = 0; w < width; w++) {
                const from = r - before + w;
                const inside = from >= word(offsets, s) && from < word(offsets, s + 1) && (!masked || word(visible, from) != 0);
                for (let c = 0; c < cols; c++) {
                  if (bits(out, r * ldo + w * cols + c) != (inside ? bits(x, from * ldx + c) : 0)) wrong++;
                }
              }
            }
          }
          expect<i32>(wrong).toBe(0);
          expect<i32>(differences(out, parts, ROWS, width * cols, ldo, ldo)).toBe(0, "rows in parts");
          expect<i32>(spoiled(out, ROWS, width * cols, ldo)).toBe(0, "padding and guards");
        }
      }
    }
  });
});
