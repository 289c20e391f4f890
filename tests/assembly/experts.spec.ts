import { Activation, Experts, ExpertsScratch, MatmulScratch, Record } from "../../src/graph/op";
import { experts } from "../../assembly/kernels/experts";
import { pack } from "../../assembly/kernels/pack";
import { differences, filled, get, matrix, set, spoiled, strays, whole, worse } from "./oracle";

const EXPERTS: i32 = 5;

/** Rows of each expert in panels, `parts` times `rows` with zeros behind each. file: [EXPERTS][parts][rows][k]. */
function panels(file: usize, parts: i32, rows: i32, k: i32): usize {
  const all = matrix(EXPERTS * parts * whole(rows), k);
  for (let i = 0; i < EXPERTS * parts; i++) pack(all + ((i * whole(rows) * k) << 2), file + ((i * rows * k) << 2), rows, k, k);
  return all;
}

function vector(file: usize, n: i32): usize {
  const all = matrix(EXPERTS, whole(n));
  for (let e = 0; e < EXPERTS; e++) for (let i = 0; i < whole(n); i++) set(all, e * whole(n) + i, i < n ? get(file, e * n + i) : 0);
  return all;
}

function silu(x: f64, by: f64): f64 {
  return x / (1 + NativeMath.exp(-by * x));
}

/** gate · up of expert e's row i, by a plain loop. */
function lifted(x: usize, up: usize, bias: usize, e: i32, i: i32, cols: i32, inner: i32, limit: f64): f64 {
  const g = limit ? 2 * i : i, u = limit ? 2 * i + 1 : inner + i;
  let gate: f64 = bias ? get(bias, e * 2 * inner + g) : 0, value: f64 = bias ? get(bias, e * 2 * inner + u) : 0;
  for (let c = 0; c < cols; c++) {
    gate += <f64>get(x, c) * <f64>get(up, (e * 2 * inner + g) * cols + c);
    value += <f64>get(x, c) * <f64>get(up, (e * 2 * inner + u) * cols + c);
  }
  if (limit) return (max(min(value, limit), -limit) + 1) * silu(min(gate, limit), 1.702);
  return silu(gate, 1) * value;
}

const COLS: StaticArray<i32> = [1, 8, 13, 30];
const INNERS: StaticArray<i32> = [1, 5, 8, 21];
const ROWS: StaticArray<i32> = [1, 2, 9, 60];

describe("experts", () => {
  it("is the sum of what the chosen experts give, and the same bits for a row alone", () => {
    let error: f64 = 0, count = 0;
    for (let t = 0; t < 64; t++) {
      const cols = COLS[t & 3], inner = INNERS[(t >> 2) & 3], rows = ROWS[t >> 4], chosen = 1 + t % 3, clamped = (t & 1) != 0;
      const limit: f32 = clamped ? 0.7 : 0, ldx = cols + 3, ldo = whole(cols) + 8;
      const x = filled(rows, cols, ldx, 1), w = filled(rows, chosen, chosen + 1, 1), index = matrix(rows, chosen + 2);
      for (let r = 0; r < rows; r++) for (let j = 0; j < chosen; j++) store<i32>(index + ((r * (chosen + 2) + j) << 2), (r + j) % (EXPERTS - 1));
      const up = filled(EXPERTS * 2 * inner, cols, cols, 1), down = filled(EXPERTS * cols, inner, inner, 1);
      const up_bias = clamped ? filled(EXPERTS, 2 * inner, 2 * inner, 1) : 0, down_bias = clamped ? filled(EXPERTS, cols, cols, 1) : 0;
      const wide = clamped ? whole(2 * inner) : 2 * whole(inner), k = max(cols, inner);
      const floats = ExpertsScratch.rows * (2 + whole(cols) + wide) + 16 + MatmulScratch.sums + (ExpertsScratch.rows + MatmulScratch.rows) * k + MatmulScratch.slack;
      const scratch = matrix(1, floats), record = heap.alloc(Record.words * 4), out = matrix(rows, ldo), alone = matrix(rows, ldo);
      memory.fill(record, 0, Record.words * 4);
      const put = (record: usize, i: i32, v: usize): void => store<u32>(record + (<usize>i << 2), <u32>v);
      put(record, Record.out, out), put(record, Experts.x, x), put(record, Experts.weights, w), put(record, Experts.index, index);
      put(record, Experts.up, clamped ? panels(up, 1, 2 * inner, cols) : panels(up, 2, inner, cols));
      put(record, Experts.down, panels(down, 1, cols, inner));
      if (clamped) put(record, Experts.up_bias, vector(up_bias, 2 * inner)), put(record, Experts.down_bias, vector(down_bias, cols));
      put(record, Experts.format, 1), put(record, Experts.down_format, 1), put(record, Experts.experts, EXPERTS), put(record, Experts.chosen, chosen), put(record, Experts.cols, cols);
      put(record, Experts.inner, inner), put(record, Experts.kind, clamped ? Activation.quick_gelu : Activation.silu);
      store<f32>(record + (Experts.limit << 2), limit);
      put(record, Experts.ldo, ldo), put(record, Experts.ldx, ldx), put(record, Experts.ldw, chosen + 1), put(record, Experts.ldi, chosen + 2), put(record, Experts.scratch, scratch);
      experts(record, 0, rows);
      put(record, Record.out, alone);
      for (let r = 0; r < rows; r++) experts(record, r, r + 1);
      count += differences(out, alone, rows, cols, ldo, ldo) + spoiled(out, rows, cols, ldo) + strays(scratch, 1, floats, floats);
      for (let r = 0; r < rows; r++) {
        for (let c = 0; c < cols; c++) {
          let sum: f64 = 0, size: f64 = 1;
          for (let j = 0; j < chosen; j++) {
            const e = (r + j) % (EXPERTS - 1), factor = <f64>get(w, r * (chosen + 1) + j);
            let y: f64 = down_bias ? get(down_bias, e * cols + c) : 0;
            for (let i = 0; i < inner; i++) {
              const v = lifted(x + ((r * ldx) << 2), up, up_bias, e, i, cols, inner, limit) * <f64>get(down, (e * cols + c) * inner + i);
              y += v;
              size += abs(v);
            }
            sum += factor * y;
          }
          error = worse(error, abs(sum - get(out, r * ldo + c)) / size);
        }
      }
    }
    expect<f64>(error).toBeLessThan(4e-6);
    expect<i32>(count).toBe(0);
  });
});
