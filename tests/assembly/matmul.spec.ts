import { Activation, MatmulScratch } from "../../src/graph/op";
import { matmul } from "../../assembly/kernels/matmul";
import { pack } from "../../assembly/kernels/pack";
import { activate } from "../../assembly/numeric";
import { differences, filled, get, matrix, POISON, strays, whole, worse } from "./oracle";

/** 2⁻²⁴: the relative error of one rounding. */
const ROUNDING: f64 = 5.9604644775390625e-8;

/** Scratch of exactly the size that ops.ts gives, poisoned, with guards behind it. */
function scratch_of(rows: i32, k: i32): usize {
  return matrix(1, scratch_floats(rows, k));
}

function scratch_floats(rows: i32, k: i32): i32 {
  const most = max<i32>(MatmulScratch.cached, MatmulScratch.rows * k);
  return MatmulScratch.sums + min<i32>(most, (rows + MatmulScratch.rows - 1) * k) + MatmulScratch.slack;
}

/** Largest error over its bound, (k + 4) roundings of the sum of sizes and one of the result; without activation. */
function error_of(out: usize, a: usize, b: usize, bias: usize, residual: usize, rows: i32, n: i32, k: i32): f64 {
  const ldo = whole(n) + 8, lda = k + 5;
  let error: f64 = 0;
  for (let i = 0; i < rows; i++) {
    for (let j = 0; j < n; j++) {
      let sum: f64 = bias ? get(bias, j) : 0, size = abs(sum);
      for (let p = 0; p < k; p++) {
        const term = <f64>get(a, i * lda + p) * <f64>get(b, j * k + p);
        sum += term;
        size += abs(term);
      }
      if (residual) {
        sum += get(residual, i * ldo + j);
        size += abs(<f64>get(residual, i * ldo + j));
      }
      error = worse(error, abs(<f64>get(out, i * ldo + j) - sum) / ((k + 4) * ROUNDING * size + 1e-30));
    }
  }
  return error;
}

const NS: StaticArray<i32> = [1, 8, 19, 24, 40, 77];
const KS: StaticArray<i32> = [1, 2, 3, 4, 5, 8, 13, 66];

describe("matmul", () => {
  it("is right for every count of rows, with and without bias and residual, and writes whole panels only", () => {
    let error: f64 = 0;
    let outside = 0;
    for (let rows = 1; rows <= 20; rows++) {
      for (let x = 0; x < NS.length; x++) {
        const n = NS[x], ldo = whole(n) + 8;
        for (let y = 0; y < KS.length; y++) {
          const k = KS[y], mode = rows + x + y;
          // Poison behind the rows of a, which is read and must reach nothing.
          const a = filled(rows, k, k + 5, 1), file = filled(n, k, k, 1), b = matrix(whole(n), k);
          pack(b, file, n, k, k);
          const bias = mode & 1 ? filled(1, whole(n), whole(n), 1) : 0, residual = mode & 2 ? filled(rows, whole(n), ldo, 1) : 0;
          const out = matrix(rows, ldo), scratch = scratch_of(rows, k);
          matmul(out, a, b, bias, residual, scratch, rows, n, k, ldo, k + 5, ldo, 0);
          error = worse(error, error_of(out, a, file, bias, residual, rows, n, k));
          outside += strays(out, rows, whole(n), ldo) + strays(scratch, 1, scratch_floats(rows, k), scratch_floats(rows, k));
        }
      }
    }
    expect<f64>(error).toBeLessThan(1);
    expect<i32>(outside).toBe(0);
  });

  it("gives a row the same bits among any other rows, whatever the tile, the block and the group of panels", () => {
    // 65 · 1024 floats and 300 · 1024: more than one block of rows, and more than one group of panels.
    for (let deep = 0; deep < 2; deep++) {
      const k = deep ? 1031 : 37, n = deep ? 72 : 333, most = deep ? 70 : 23, ldo = whole(n);
      const a = filled(most, k, k + 5, 1), b = filled(1, ldo * k, ldo * k, 1), bias = filled(1, ldo, ldo, 1), scratch = scratch_of(most, k);
      const alone = matrix(most, ldo);
      for (let i = 0; i < most; i++) {
        matmul(alone + <usize>(i * ldo << 2), a + <usize>(i * (k + 5) << 2), b, bias, 0, scratch, 1, n, k, ldo, k + 5, ldo, Activation.gelu);
      }
      for (let rows = deep ? most - 1 : 2; rows <= most; rows++) {
        const out = matrix(rows, ldo);
        matmul(out, a, b, bias, 0, scratch, rows, n, k, ldo, k + 5, ldo, Activation.gelu);
        expect<i32>(differences(out, alone, rows, ldo, ldo, ldo)).toBe(0);
      }
    }
  });

  it("gives a column the same bits in a matrix cut by columns", () => {
    const k = 20, n = 77, ldo = whole(n);
    const b = filled(1, ldo * k, ldo * k, 1), bias = filled(1, ldo, ldo, 1);
    for (let rows = 1; rows < 8; rows++) {
      const a = filled(rows, k, k + 5, 1), scratch = scratch_of(rows, k), out = matrix(rows, ldo), parts = matrix(rows, ldo);
      matmul(out, a, b, bias, 0, scratch, rows, n, k, ldo, k + 5, ldo, 0);
      for (let first = 0; first < n; first += 16) {
        matmul(parts + <usize>(first << 2), a, b + <usize>(first * k << 2), bias + <usize>(first << 2), 0, scratch, rows, min(16, n - first), k, ldo, k + 5, ldo, 0);
      }
      expect<i32>(differences(out, parts, rows, n, ldo, ldo)).toBe(0);
    }
  });

  it("is activation(sums + bias) + residual, in place of the residual too", () => {
    const k = 9, n = 21, ldo = whole(n) + 8;
    const b = filled(1, whole(n) * k, whole(n) * k, 1), bias = filled(1, whole(n), whole(n), 1);
    for (let rows = 1; rows < 8; rows++) {
      const a = filled(rows, k, k + 5, 1), scratch = scratch_of(rows, k);
      const plain = matrix(rows, ldo), residual = filled(rows, whole(n), ldo, 1);
      matmul(plain, a, b, bias, 0, scratch, rows, n, k, ldo, k + 5, 0, 0);
      for (let kind: i32 = 0; kind <= Activation.sigmoid; kind++) {
        const want = matrix(rows, ldo), out = matrix(rows, ldo);
        for (let i = 0; i < rows * ldo; i += 4) {
          const at = <usize>(i << 2);
          if (i % ldo >= whole(n)) continue;
          v128.store(want + at, f32x4.add(activate(v128.load(plain + at), kind), v128.load(residual + at)));
        }
        memory.copy(out, residual, <usize>(rows * ldo << 2));
        matmul(out, a, b, bias, out, scratch, rows, n, k, ldo, k + 5, ldo, kind);
        expect<i32>(differences(out, want, rows, whole(n), ldo, ldo)).toBe(0);
      }
    }
  });

  it("is bias where there is nothing to sum", () => {
    const bias = filled(1, 40, 40, 1);
    for (let rows = 1; rows < 8; rows++) {
      const out = matrix(rows, 40);
      matmul(out, bias, bias, bias, 0, scratch_of(rows, 0), rows, 40, 0, 40, 0, 0, 0);
      for (let i = 0; i < rows; i++) expect<i32>(differences(out + i * 160, bias, 1, 40, 40, 40)).toBe(0);
    }
  });

  it("lets a NaN reach its row alone", () => {
    const k = 6, n = 40;
    const b = filled(1, n * k, n * k, 1);
    for (let rows = 1; rows < 14; rows++) {
      const a = filled(rows, k, k + 5, 1), out = matrix(rows, n), row = rows >> 1;
      store<u32>(a + <usize>((row * (k + 5) + k - 1) << 2), POISON);
      matmul(out, a, b, 0, 0, scratch_of(rows, k), rows, n, k, n, k + 5, 0, 0);
      let wrong = 0;
      for (let i = 0; i < rows; i++) for (let j = 0; j < n; j++) if (isNaN(get(out, i * n + j)) != (i == row)) wrong++;
      expect<i32>(wrong).toBe(0);
    }
  });
});
