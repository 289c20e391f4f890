import { rotary, rotary_table } from "../../assembly/kernels/rotary";
import { bits, differences, filled, get, matrix, POISON, set, spoiled, whole, worse } from "./oracle";

const ROWS: i32 = 4;
const HALVES: StaticArray<i32> = [1, 2, 3, 4, 6, 16, 35];
const ROUNDING: f64 = 5.9604644775390625e-8;

describe("rotary_table", () => {
  it("holds cosines and sines of angles rounded to f32, each to half an ulp, padded", () => {
    const positions = memory.data<i32>([0, 1, 511, 1048576]);
    for (let i = 0; i < HALVES.length; i++) {
      const half = HALVES[i], ldo = whole(2 * half) + 8;
      const inv_freq = filled(1, half, half, 1), out = matrix(ROWS, ldo), parts = matrix(ROWS, ldo);
      set(inv_freq, 0, 1);
      for (let scale: f32 = 1; scale < 1.3; scale += 0.2) {
        rotary_table(out, positions, inv_freq, ROWS, half, ldo, 0, scale);
        let wrong = 0;
        for (let r = 0; r < ROWS; r++) {
          rotary_table(parts + ((r * ldo) << 2), positions + (r << 2), inv_freq, 1, half, ldo, 0, scale);
          for (let c = 0; c < half; c++) {
            const angle = <f64>(<f32>load<i32>(positions + (r << 2)) * get(inv_freq, c));
            if (get(out, r * ldo + c) != <f32>NativeMath.cos(angle) * scale) wrong++;
            if (get(out, r * ldo + half + c) != <f32>NativeMath.sin(angle) * scale) wrong++;
          }
        }
        expect<i32>(wrong).toBe(0);
        const own = filled(ROWS, half, half + 3, 1), each = matrix(ROWS, ldo), alone = matrix(ROWS, ldo);
        rotary_table(each, positions, own, ROWS, half, ldo, half + 3, scale);
        for (let r = 0; r < ROWS; r++) rotary_table(alone + ((r * ldo) << 2), positions + (r << 2), own + ((r * (half + 3)) << 2), 1, half, ldo, 0, scale);
        expect<i32>(differences(each, alone, ROWS, 2 * half, ldo, ldo)).toBe(0, "frequencies of each row");
        expect<i32>(differences(out, parts, ROWS, 2 * half, ldo, ldo)).toBe(0, "rows one by one");
        expect<i32>(spoiled(out, ROWS, 2 * half, ldo)).toBe(0, "padding and guards");
      }
    }
  });
});

describe("rotary", () => {
  it("turns pairs of halves or of neighbours, leaves the rest of a head, in place too", () => {
    let error: f64 = 0;
    for (let i = 0; i < HALVES.length; i++) {
      const half = HALVES[i], heads = 3, ldt = whole(2 * half);
      const table = filled(ROWS, 2 * half, ldt, 1);
      for (let rest = 0; rest < 6; rest += 5) {
        const head_dim = 2 * half + rest, cols = heads * head_dim, ldx = cols + 13, ldo = whole(cols) + 8;
        const x = filled(ROWS, cols + 3, ldx, 2) + 12, out = matrix(ROWS, ldo), alias = matrix(ROWS, ldo);
        for (let interleaved = 0; interleaved < 2; interleaved++) {
          for (let r = 0; r < ROWS; r++) memory.copy(alias + ((r * ldo) << 2), x + ((r * ldx) << 2), cols << 2);
          rotary(out, x, table, ROWS, heads, head_dim, half, ldo, ldx, ldt, interleaved == 1);
          rotary(alias, alias, table, 1, heads, head_dim, half, ldo, ldo, ldt, interleaved == 1);
          rotary(alias + (ldo << 2), alias + (ldo << 2), table + (ldt << 2), ROWS - 1, heads, head_dim, half, ldo, ldo, ldt, interleaved == 1);
          let moved = 0;
          for (let r = 0; r < ROWS; r++) {
            for (let h = 0; h < heads; h++) {
              const from = x + ((r * ldx + h * head_dim) << 2), to = out + ((r * ldo + h * head_dim) << 2);
              for (let p = 0; p < half; p++) {
                const one = interleaved ? 2 * p : p, two = interleaved ? 2 * p + 1 : p + half;
                const a = <f64>get(from, one), b = <f64>get(from, two);
                const c = <f64>get(table, r * ldt + p), s = <f64>get(table, r * ldt + half + p);
                const size = (abs(a) + abs(b)) * (abs(c) + abs(s)) * ROUNDING + 1e-30;
                error = worse(error, abs(<f64>get(to, one) - (a * c - b * s)) / size);
                error = worse(error, abs(<f64>get(to, two) - (b * c + a * s)) / size);
              }
              for (let c = 2 * half; c < head_dim; c++) if (bits(from, c) != bits(to, c)) moved++;
            }
          }
          expect<i32>(moved).toBe(0, "the rest of a head");
          expect<i32>(differences(out, alias, ROWS, cols, ldo, ldo)).toBe(0, "in place, rows in parts");
          expect<i32>(spoiled(out, ROWS, cols, ldo) + spoiled(alias, ROWS, cols, ldo)).toBe(0, "padding and guards");
        }
      }
    }
    log<f64>(error);
    expect<f64>(error).toBeLessThan(2);
  });
});
