import { top_k } from "../../assembly/kernels/top_k";
import { bits, differences, filled, get, matrix, POISON, random, set, spoiled, whole } from "./oracle";

/** How many of the k results differ from a selection sort: larger first, NaN last, equal ones (0 and -0 too) by column. */
function wrong(out: usize, index: usize, x: usize, n: i32, k: i32): i32 {
  const taken = new StaticArray<bool>(n);
  let count = 0;
  for (let i = 0; i < min(k, n); i++) {
    let best = -1;
    for (let c = 0; c < n; c++) {
      if (taken[c]) continue;
      const a = get(x, c), b: f32 = best < 0 ? 0 : get(x, best);
      if (best < 0 || a > b || (b != b && a == a)) best = c;
    }
    taken[best] = true;
    if (<i32>bits(index, i) != best || bits(out, i) != bits(x, best)) count++;
  }
  for (let i = n; i < k; i++) if (get(out, i) != -Infinity || <i32>bits(index, i) != -1) count++;
  return count;
}

const NS: StaticArray<i32> = [1, 3, 8, 9, 50, 333];
const KS: StaticArray<i32> = [1, 2, 5, 8, 40, 333, 400];
const ROWS: i32 = 4;

describe("top_k", () => {
  it("is a sort cut off, for few and many, with ties, NaN, infinities and both zeros", () => {
    for (let a = 0; a < NS.length; a++) {
      for (let b = 0; b < KS.length; b++) {
        const n = NS[a], k = KS[b], ldx = n + 3, ldo = whole(k) + 8;
        for (let kind = 0; kind < 7; kind++) {
          const x = filled(ROWS, n + 1, ldx, 10) + 4;
          for (let r = 0; r < ROWS; r++) {
            for (let c = 0; c < n; c++) {
              let v = get(x, r * ldx + c);
              if (kind == 1) v = floor<f32>(v / 4);
              else if (kind == 2) v = v > 3 ? NaN : v > 0 ? Infinity : v > -3 ? -Infinity : v;
              else if (kind == 3) v = NaN;
              else if (kind == 4) v = v > 0 ? 0 : -0.0;
              else if (kind == 5) v = <f32>c;
              else if (kind == 6) v = c % 3 ? v : NaN;
              set(x, r * ldx + c, v);
            }
          }
          const out = matrix(ROWS, ldo), index = matrix(ROWS, ldo), one = matrix(ROWS, ldo), places = matrix(ROWS, ldo);
          top_k(out, index, x, ROWS, n, k, ldo, ldx);
          let count = 0;
          for (let r = 0; r < ROWS; r++) {
            const to = (r * ldo) << 2, from = x + ((r * ldx) << 2);
            count += wrong(out + to, index + to, from, n, k);
            top_k(one + to, places + to, from, 1, n, k, ldo, ldx);
          }
          expect<i32>(count).toBe(0);
          expect<i32>(differences(out, one, ROWS, k, ldo, ldo) + differences(index, places, ROWS, k, ldo, ldo)).toBe(0);
          expect<i32>(spoiled(out, ROWS, k, ldo) + spoiled(index, ROWS, k, ldo)).toBe(0, "padding and guards");
        }
      }
    }
  });

  it("finds the best of a hundred thousand", () => {
    const n = 100003, k = 10, x = filled(1, n, n, 1), out = matrix(1, 16), index = matrix(1, 16);
    for (let c = 0; c < 30; c++) set(x, <i32>((random() + 1) * 50000), 2 + floor<f32>(random() * 5));
    top_k(out, index, x, 1, n, k, 16, n);
    expect<i32>(wrong(out, index, x, n, k)).toBe(0);
  });
});
