import { Activation, Binary, Format } from "../../src/graph/op";
import { binary, copy, glu, unary } from "../../assembly/kernels/elementwise";
import { embed } from "../../assembly/kernels/embed";
import { layer_norm, normalize, rms_norm } from "../../assembly/kernels/norm";
import { pack } from "../../assembly/kernels/pack";
import { softmax } from "../../assembly/kernels/softmax";
import { activate } from "../../assembly/numeric";
import { differences, filled, get, matrix, POISON, bits, random, set, spoiled, strays, whole, worse } from "./oracle";

const SIZES: StaticArray<i32> = [1, 3, 4, 7, 8, 36, 50, 384];
const ROWS: i32 = 5;
/** 2⁻²⁴: the relative error of one rounding. */
const ROUNDING: f64 = 5.9604644775390625e-8;

/** A column slice: it starts at an odd float, and poison stands behind its columns. Its row stride is cols + 13. */
function slice(cols: i32, size: f32): usize {
  return filled(ROWS, cols + 3, cols + 13, size) + 12;
}

/** Behind the columns stands in turn a number that would outweigh all others and a NaN. */
function poisoned(x: usize, cols: i32): usize {
  for (let r = 0; r < ROWS; r++) {
    for (let c = cols; c < cols + 10; c++) store<u32>(x + ((r * (cols + 13) + c) << 2), (c - cols) & 1 ? POISON : 0x7149f2ca);
  }
  return x;
}

/** The slice again in a matrix of the program, for a run in place. */
function tidy(x: usize, cols: i32): usize {
  const y = matrix(ROWS, whole(cols) + 8);
  copy(y, x, ROWS, cols, whole(cols) + 8, cols + 13);
  return y;
}

function vector(cols: i32, around: f32): usize {
  const v = filled(1, cols, whole(cols), 1);
  for (let c = 0; c < cols; c++) set(v, c, around + get(v, c));
  return v;
}

/** Which kernel `run` runs, and with what beside x. */
const LAYER_NORM: i32 = 0, RMS_NORM: i32 = 1, NORMALIZE: i32 = 2, SOFTMAX: i32 = 3, UNARY: i32 = 4;
let weight: usize = 0, bias: usize = 0, offset: f32 = 0, kind: i32 = 0;

function run(op: i32, out: usize, x: usize, rows: i32, cols: i32, ldo: i32, ldx: i32): void {
  if (op == LAYER_NORM) layer_norm(out, x, weight, bias, rows, cols, ldo, ldx, 1e-5);
  else if (op == RMS_NORM) rms_norm(out, x, weight, rows, cols, 1, ldo, ldx, 1e-6, offset);
  else if (op == NORMALIZE) normalize(out, x, rows, cols, ldo, ldx, 1e-12);
  else if (op == SOFTMAX) softmax(out, x, rows, cols, ldo, ldx);
  else unary(out, x, rows, cols, ldo, ldx, kind, 0);
}

/** Runs a kernel on a slice, checks padding, guards, aliasing and the independence of rows, and gives its output. */
function checked(op: i32, x: usize, cols: i32): usize {
  const ldo = whole(cols) + 8, ldx = cols + 13;
  const out = matrix(ROWS, ldo);
  run(op, out, x, ROWS, cols, ldo, ldx);
  expect<i32>(spoiled(out, ROWS, cols, ldo)).toBe(0, "padding and guards");
  const alias = tidy(x, cols);
  run(op, alias, alias, ROWS, cols, ldo, ldo);
  expect<i32>(differences(out, alias, ROWS, cols, ldo, ldo)).toBe(0, "in place");
  expect<i32>(spoiled(alias, ROWS, cols, ldo)).toBe(0, "padding and guards in place");
  const parts = matrix(ROWS, ldo);
  for (let lo = 0, hi = 2; lo < ROWS; lo = hi, hi = ROWS) {
    run(op, parts + ((lo * ldo) << 2), x + ((lo * ldx) << 2), hi - lo, cols, ldo, ldx);
  }
  expect<i32>(differences(out, parts, ROWS, cols, ldo, ldo)).toBe(0, "rows in parts");
  return out;
}

/** Largest error of (x - mean) · scale · (weight + offset) + bias over that of rounding each of its terms once. */
function norm_error(out: usize, x: usize, cols: i32, centred: bool, eps: f64): f64 {
  let error: f64 = 0;
  for (let r = 0; r < ROWS; r++) {
    const row = x + ((r * (cols + 13)) << 2);
    let mean: f64 = 0, squares: f64 = 0;
    if (centred) for (let c = 0; c < cols; c++) mean += <f64>get(row, c) / cols;
    for (let c = 0; c < cols; c++) squares += (<f64>get(row, c) - mean) * (<f64>get(row, c) - mean);
    const scale = 1 / sqrt<f64>(squares / cols + eps);
    for (let c = 0; c < cols; c++) {
      const v = <f64>get(row, c), w: f64 = weight ? <f64>get(weight, c) + offset : 1, b: f64 = bias ? <f64>get(bias, c) : 0;
      const size = (abs(v) + abs(mean)) * scale * abs(w) + abs(b) + 1e-30;
      error = worse(error, abs(<f64>get(out, r * (whole(cols) + 8) + c) - ((v - mean) * scale * w + b)) / (size * ROUNDING));
    }
  }
  return error;
}

describe("layer_norm", () => {
  it("is right to a few roundings, with and without weight and bias, far from 0 too", () => {
    let error: f64 = 0;
    for (let i = 0; i < SIZES.length; i++) {
      const cols = SIZES[i], x = poisoned(slice(cols, 3), cols);
      for (let mode = 0; mode < 4; mode++) {
        weight = mode & 1 ? vector(cols, 1) : 0;
        bias = mode & 2 ? vector(cols, 0) : 0;
        error = worse(error, norm_error(checked(LAYER_NORM, x, cols), x, cols, true, 1e-5));
      }
      for (let r = 0; r < ROWS; r++) for (let c = 0; c < cols; c++) set(x, r * (cols + 13) + c, 100 + random());
      error = worse(error, norm_error(checked(LAYER_NORM, x, cols), x, cols, true, 1e-5));
    }
    log<f64>(error);
    expect<f64>(error).toBeLessThan(6);
  });
});

describe("rms_norm", () => {
  it("is right to a few roundings, with and without weight and offset", () => {
    let error: f64 = 0;
    bias = 0;
    for (let i = 0; i < SIZES.length; i++) {
      const cols = SIZES[i], x = poisoned(slice(cols, 3), cols);
      for (let mode = 0; mode < 3; mode++) {
        weight = mode ? vector(cols, 0) : 0;
        offset = mode == 2 ? 1 : 0;
        error = worse(error, norm_error(checked(RMS_NORM, x, cols), x, cols, false, 1e-6));
      }
    }
    offset = 0;
    log<f64>(error);
    expect<f64>(error).toBeLessThan(4);
  });
});

describe("normalize", () => {
  it("gives rows of norm 1, and zeros for zeros", () => {
    let error: f64 = 0;
    for (let i = 0; i < SIZES.length; i++) {
      const cols = SIZES[i], x = poisoned(slice(cols, 3), cols), ldx = cols + 13;
      for (let c = 0; c < cols; c++) set(x, ldx + c, 0);
      const out = checked(NORMALIZE, x, cols);
      for (let r = 0; r < ROWS; r++) {
        let squares: f64 = 0;
        for (let c = 0; c < cols; c++) squares += <f64>get(x, r * ldx + c) * get(x, r * ldx + c);
        for (let c = 0; c < cols; c++) {
          const want = <f64>get(x, r * ldx + c) / max(sqrt<f64>(squares), 1e-12);
          error = worse(error, abs(<f64>get(out, r * (whole(cols) + 8) + c) - want) / (abs(want) * ROUNDING + 1e-45));
        }
      }
    }
    log<f64>(error);
    expect<f64>(error).toBeLessThan(3);
  });
});

describe("softmax", () => {
  it("is right to a few roundings and those of the exponent", () => {
    let error: f64 = 0;
    for (let i = 0; i < SIZES.length; i++) {
      const cols = SIZES[i], x = poisoned(slice(cols, 20), cols), ldx = cols + 13;
      const out = checked(SOFTMAX, x, cols);
      for (let r = 0; r < ROWS; r++) {
        let top: f64 = -Infinity, sum: f64 = 0;
        for (let c = 0; c < cols; c++) top = max(top, <f64>get(x, r * ldx + c));
        for (let c = 0; c < cols; c++) sum += NativeMath.exp(<f64>get(x, r * ldx + c) - top);
        for (let c = 0; c < cols; c++) {
          const z = <f64>get(x, r * ldx + c) - top, want = NativeMath.exp(z) / sum;
          error = worse(error, abs(<f64>get(out, r * (whole(cols) + 8) + c) - want) / (want * (4 - z) * ROUNDING));
        }
      }
    }
    log<f64>(error);
    expect<f64>(error).toBeLessThan(2);
  });

  it("is stable, gives zeros for a row of -inf and NaN for a NaN", () => {
    const x = matrix(4, 8), out = matrix(4, 8);
    for (let c = 0; c < 5; c++) {
      set(x, c, <f32>(3e38 - <f64>c * 1e38));
      set(x, 8 + c, -Infinity);
      set(x, 16 + c, c == 2 ? NaN : <f32>c);
      set(x, 24 + c, c == 1 ? 7 : -Infinity);
    }
    softmax(out, x, 4, 5, 8, 8);
    for (let c = 0; c < 5; c++) {
      expect<f32>(get(out, c)).toBe(c == 0 ? 1 : 0);
      expect<u32>(bits(out, 8 + c)).toBe(0);
      expect<f32>(get(out, 16 + c)).toBeNaN();
      expect<f32>(get(out, 24 + c)).toBe(c == 1 ? 1 : 0);
    }
    expect<i32>(spoiled(out, 4, 5, 8)).toBe(0);
  });
});

describe("unary, glu, binary", () => {
  it("unary is activate on every number", () => {
    for (let i = 0; i < SIZES.length; i++) {
      const cols = SIZES[i], x = poisoned(slice(cols, 4), cols);
      for (kind = Activation.none; kind <= Activation.sigmoid; kind++) {
        const out = checked(UNARY, x, cols);
        let wrong = 0;
        for (let r = 0; r < ROWS; r++) {
          for (let c = 0; c < cols; c++) {
            const want = f32x4.extract_lane(activate(f32x4.splat(get(x, r * (cols + 13) + c)), kind), 0);
            if (get(out, r * (whole(cols) + 8) + c) != want) wrong++;
          }
        }
        expect<i32>(wrong).toBe(0);
      }
    }
  });

  it("glu is activate(gate) · up, in place of either too", () => {
    for (let i = 0; i < SIZES.length; i++) {
      const cols = SIZES[i], ld = cols + 13, ldo = whole(cols) + 8;
      const gate = poisoned(slice(cols, 4), cols), up = poisoned(slice(cols, 4), cols), out = matrix(ROWS, ldo);
      for (kind = Activation.none; kind <= Activation.sigmoid; kind++) {
        glu(out, gate, up, ROWS, cols, ldo, ld, ld, kind);
        let wrong = 0;
        for (let r = 0; r < ROWS; r++) {
          for (let c = 0; c < cols; c++) {
            const a = f32x4.extract_lane(activate(f32x4.splat(get(gate, r * ld + c)), kind), 0);
            if (get(out, r * ldo + c) != a * get(up, r * ld + c)) wrong++;
          }
        }
        const a = tidy(gate, cols), b = tidy(up, cols);
        glu(a, a, up, ROWS, cols, ldo, ldo, ld, kind);
        glu(b, gate, b, ROWS, cols, ldo, ld, ldo, kind);
        expect<i32>(wrong + differences(out, a, ROWS, cols, ldo, ldo) + differences(out, b, ROWS, cols, ldo, ldo)).toBe(0);
        expect<i32>(spoiled(out, ROWS, cols, ldo) + spoiled(a, ROWS, cols, ldo) + spoiled(b, ROWS, cols, ldo)).toBe(0);
      }
    }
  });

  it("binary adds, subtracts and multiplies, with one row for all where ldb is 0", () => {
    for (let i = 0; i < SIZES.length; i++) {
      const cols = SIZES[i], ld = cols + 13, ldo = whole(cols) + 8;
      const x = poisoned(slice(cols, 4), cols), y = poisoned(slice(cols, 4), cols), out = matrix(ROWS, ldo);
      for (kind = Binary.add; kind <= Binary.mul; kind++) {
        for (let ldb = 0; ldb <= ld; ldb += ld) {
          binary(out, x, y, ROWS, cols, ldo, ld, ldb, kind);
          let wrong = 0;
          for (let r = 0; r < ROWS; r++) {
            for (let c = 0; c < cols; c++) {
              const v = get(x, r * ld + c), w = get(y, r * ldb + c);
              const want = kind == Binary.add ? v + w : kind == Binary.sub ? v - w : v * w;
              if (get(out, r * ldo + c) != want) wrong++;
            }
          }
          const a = tidy(x, cols);
          binary(a, a, y, ROWS, cols, ldo, ldo, ldb, kind);
          expect<i32>(wrong + differences(out, a, ROWS, cols, ldo, ldo)).toBe(0);
          expect<i32>(spoiled(out, ROWS, cols, ldo) + spoiled(a, ROWS, cols, ldo)).toBe(0);
        }
      }
    }
  });

  it("copy writes exactly the columns, from and to any float", () => {
    for (let i = 0; i < SIZES.length; i++) {
      const cols = SIZES[i], x = slice(cols, 4), out = matrix(ROWS, cols + 5);
      copy(out + 4, x, ROWS, cols, cols + 5, cols + 13);
      expect<i32>(differences(out + 4, x, ROWS, cols, cols + 5, cols + 13)).toBe(0);
      expect<u32>(bits(out, 0)).toBe(POISON);
      expect<i32>(strays(out, ROWS, cols + 1, cols + 5)).toBe(0);
    }
  });
});

describe("embed", () => {
  it("gathers rows, from panels too, times scale plus residual, in place of it too", () => {
    const vocabulary = 21;
    const ids = memory.data<i32>([20, 0, 7, 8, 20]);
    for (let i = 0; i < SIZES.length; i++) {
      const cols = SIZES[i], ldt = cols + 5, ldo = whole(cols) + 8, ldr = cols + 13;
      const table = filled(vocabulary, cols, ldt, 1), residual = poisoned(slice(cols, 1), cols);
      const panels = matrix((vocabulary + 7) >> 3, cols * 8);
      pack(panels, table, vocabulary, cols, ldt);
      for (let mode = 0; mode < 4; mode++) {
        const scale: f32 = mode & 1 ? 1.7 : 1, added = mode & 2 ? residual : 0;
        const out = matrix(ROWS, ldo), again = mode & 2 ? tidy(residual, cols) : matrix(ROWS, ldo);
        embed(out, ids, table, 0, added, ROWS, cols, ldo, ldt, ldr, scale, Format.rows);
        embed(again, ids, panels, 0, mode & 2 ? again : 0, ROWS, cols, ldo, 0, ldo, scale, Format.panels);
        let wrong = 0;
        for (let r = 0; r < ROWS; r++) {
          for (let c = 0; c < cols; c++) {
            let want = get(table, load<i32>(ids + (r << 2)) * ldt + c) * scale;
            if (added) want += get(residual, r * ldr + c);
            if (get(out, r * ldo + c) != want) wrong++;
          }
        }
        expect<i32>(wrong).toBe(0);
        expect<i32>(differences(out, again, ROWS, cols, ldo, ldo)).toBe(0, "panels, in place");
        expect<i32>(spoiled(out, ROWS, cols, ldo) + spoiled(again, ROWS, cols, ldo)).toBe(0, "padding and guards");
      }
    }
  });
});
