import { Dtype } from "../../src/graph/op";
import { convert } from "../../assembly/kernels/convert";
import { pack, pack_columns, pack_rows } from "../../assembly/kernels/pack";
import { bits, filled, get, matrix, POISON, set, strays } from "./oracle";

/** IEEE 754 binary16 in f64 arithmetic, NaN apart. */
function half(h: u32): f64 {
  const exponent = (h >> 10) & 31, fraction = <f64>(h & 1023), sign: f64 = h & 0x8000 ? -1 : 1;
  if (exponent == 0) return sign * fraction * 5.9604644775390625e-8;
  if (exponent == 31) return fraction ? NaN : sign * Infinity;
  return sign * (1 + fraction / 1024) * reinterpret<f64>(<u64>(exponent + 1008) << 52);
}

/** `count` random numbers of a type from an odd byte on. */
function file(count: i32, dtype: i32): usize {
  const size = dtype == Dtype.f32 ? 4 : 2, bytes = matrix(1, count + 8) + 1;
  const x = filled(1, count, count, 1);
  for (let i = 0; i < count; i++) {
    if (dtype == Dtype.f32) store<f32>(bytes + i * 4, get(x, i));
    else store<u16>(bytes + i * size, dtype == Dtype.bf16 ? <u16>(bits(x, i) >> 16) : <u16>((<i32>bits(x, i) >> 5) & 0xbfff));
  }
  return bytes;
}

/** The i-th number of a file, by the slow way. */
function number(bytes: usize, i: i32, dtype: i32): f32 {
  if (dtype == Dtype.f32) return load<f32>(bytes + (i << 2));
  const h = <u32>load<u16>(bytes + (i << 1));
  return dtype == Dtype.bf16 ? reinterpret<f32>(h << 16) : <f32>half(h);
}

describe("convert", () => {
  it("is exact for all 65536 F16 and BF16, payloads of NaN and subnormals included", () => {
    const all: i32 = 65536, bytes = matrix(1, 32780) + 1, out = matrix(1, all);
    for (let h = 0; h < all; h++) store<u16>(bytes + (h << 1), <u16>h);
    convert(out, bytes, all, Dtype.bf16);
    let wrong = 0;
    for (let h = 0; h < all; h++) if (bits(out, h) != <u32>h << 16) wrong++;
    expect<i32>(wrong).toBe(0);
    convert(out, bytes, all, Dtype.f16);
    for (let h = 0; h < all; h++) {
      const nan = (h & 0x7fff) > 0x7c00;
      const want = nan ? <u32>(((h & 0x8000) << 16) | 0x7f800000 | ((h & 1023) << 13)) : reinterpret<u32>(<f32>half(h));
      if (bits(out, h) != want) wrong++;
    }
    expect<i32>(wrong).toBe(0);
    expect<i32>(strays(out, 1, all, all)).toBe(0);
  });

  it("writes exactly `count` numbers from any byte on", () => {
    for (let dtype: i32 = Dtype.f32; dtype <= Dtype.bf16; dtype++) {
      for (let count = 0; count < 20; count++) {
        const bytes = file(count, dtype), out = matrix(1, count + 3);
        convert(out, bytes, count, dtype);
        let wrong = 0;
        for (let i = 0; i < count; i++) if (get(out, i) != number(bytes, i, dtype)) wrong++;
        expect<i32>(wrong + strays(out, 1, count, count + 3)).toBe(0);
      }
    }
  });
});

/** Numbers of panels out[⌈n/8⌉][k][8] that are not file[n][k] (transposed: file[k][n]); lanes behind n must be `lane`. */
function misplaced(out: usize, bytes: usize, n: i32, k: i32, dtype: i32, transposed: bool, lane: u32): i32 {
  let wrong = 0;
  for (let i = 0; i < (n + 7) >> 3 << 3; i++) {
    for (let j = 0; j < k; j++) {
      const at = ((i >> 3) * k + j) * 8 + (i & 7);
      if (i >= n ? bits(out, at) != lane : get(out, at) != number(bytes, transposed ? j * n + i : i * k + j, dtype)) wrong++;
    }
  }
  return wrong;
}

const NS: StaticArray<i32> = [1, 3, 7, 8, 16, 21, 30];
const KS: StaticArray<i32> = [1, 3, 4, 5, 8, 13, 36];

describe("pack", () => {
  it("fills panels up with zeros", () => {
    for (let a = 0; a < NS.length; a++) {
      for (let b = 0; b < KS.length; b++) {
        const n = NS[a], k = KS[b], ldx = k + 5, floats = ((n + 7) >> 3) * k * 8;
        const x = filled(n, k + 1, ldx, 1) + 4, out = matrix(1, floats), close = matrix(1, n * k);
        for (let r = 0; r < n; r++) memory.copy(close + ((r * k) << 2), x + ((r * ldx) << 2), k << 2);
        pack(out, x, n, k, ldx);
        expect<i32>(misplaced(out, close, n, k, Dtype.f32, false, 0)).toBe(0);
        expect<i32>(strays(out, 1, floats, floats)).toBe(0);
      }
    }
  });
});

describe("pack_rows and pack_columns", () => {
  it("put every type into panels, however the file is cut", () => {
    for (let dtype: i32 = Dtype.f32; dtype <= Dtype.bf16; dtype++) {
      const size = dtype == Dtype.f32 ? 4 : 2;
      for (let a = 0; a < NS.length; a++) {
        for (let b = 0; b < KS.length; b++) {
          const n = NS[a], k = KS[b], floats = ((n + 7) >> 3) * k * 8, bytes = file(n * k, dtype);
          let wrong = 0;
          for (let step = 1; step < 40; step += 6) {
            const rows = matrix(1, floats), columns = matrix(1, floats);
            for (let i = 0; i < n; i += step) pack_rows(rows, bytes + i * k * size, i, min(step, n - i), k, dtype);
            for (let i = 0; i < k; i += step) pack_columns(columns, bytes + i * n * size, i, min(step, k - i), n, k, dtype);
            wrong += misplaced(rows, bytes, n, k, dtype, false, POISON);
            wrong += misplaced(columns, bytes, n, k, dtype, true, 0);
            wrong += strays(rows, 1, floats, floats) + strays(columns, 1, floats, floats);
          }
          expect<i32>(wrong).toBe(0);
        }
      }
    }
  });
});
