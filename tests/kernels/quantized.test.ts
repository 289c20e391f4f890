import fc from "fast-check";
import { beforeAll, describe, expect, test } from "vitest";
import { Activation, Embed, Format, Matmul, Op, Quantized, Record } from "../../src/graph/op.ts";
import { rowBytes } from "../../src/graph/ops.ts";
import { BASE, Engine } from "../../src/runtime/engine.ts";
import "../../src/host/node.ts";
import { unpacked } from "../q4.ts";

/** The two builds as they ship, and the relaxed one with dot products that add. */
let builds: Engine[] = [];
beforeAll(async () => {
  builds = [await Engine.create(), await Engine.create({ deterministic: true }), await Engine.create()];
  builds[2].exports.fuse_dots(1);
  for (const { memory } of builds) memory.ensure(24e6);
});
const FORMATS = [Format.q8, Format.q8_exact, Format.q4] as const;
const f = Math.fround;
const whole = (k: number) => rowBytes(k, Format.q8);
const padded = (n: number) => (n + 7) & ~7;

interface Matrix {
  n: number;
  k: number;
  format: Format;
  /** Integers by row, and scale and sum of each. */
  q: Int32Array;
  scales: Float32Array;
  sums: Float32Array;
}

const W = BASE;
const SCALES = W + 4e6;
const X = SCALES + 1e6;
const OUT = X + 6e6;
const FREE = OUT + 4e6;

/** Has the module quantise a matrix, and reads it back by what quantize.ts says of its bytes. */
function quantized(engine: Engine, w: ArrayLike<number>, n: number, k: number, format: Format): Matrix {
  const { memory, exports } = engine;
  memory.u8(W, SCALES + 64 * n - W).fill(0);
  memory.write(X, Float32Array.from(w));
  exports.quantize_weights(W, SCALES, X, FREE, 0, n, k, format);
  return read(engine, n, k, format);
}

function read({ memory }: Engine, n: number, k: number, format: Format): Matrix {
  const row = rowBytes(k, format);
  const bytes = memory.u8(W, n * row);
  const q = Int32Array.from({ length: n * k }, (_, i) => {
    const [r, c] = [Math.floor(i / k) * row, i % k];
    if (format !== Format.q4) return (bytes[r + c] << 24) >> 24;
    return unpacked(bytes, r, c, whole(k));
  });
  const tables = memory.f32(SCALES, padded(n) * 2);
  const pick = (part: number) => Float32Array.from({ length: n }, (_, i) => tables[(i >> 3) * 16 + (i & 7) + part]);
  return { n, k, format, q, scales: pick(0), sums: pick(8) };
}

/** out = x · Wᵀ by the module, W being the matrix it quantised last. */
function product(
  { memory, exports }: Engine,
  x: Float32Array,
  { n, k, format }: Matrix,
  o: { bias?: Float32Array; residual?: boolean; activation?: Activation } = {},
): Float32Array {
  const rows = x.length / k;
  const [ldx, ldo] = [padded(k), padded(n)];
  memory.write(OUT, new Float32Array(rows * n).fill(7), n, ldo); // what may be the residual: zero behind its columns
  memory.f32(OUT + rows * ldo * 4, ldo).fill(7);
  memory.write(X, x, k, ldx);
  const bias = FREE + 2e6;
  if (o.bias) memory.write(bias, o.bias);
  const program = FREE + 3e6;
  const words = new Int32Array(Record.words);
  const set = {
    [Record.op]: Op.matmul,
    [Record.rows]: rows,
    [Record.out]: OUT,
    [Matmul.a]: X,
    [Matmul.b]: W,
    [Matmul.bias]: o.bias ? bias : 0,
    [Matmul.residual]: o.residual ? OUT : 0,
    [Matmul.n]: n,
    [Matmul.k]: k,
    [Matmul.ldo]: ldo,
    [Matmul.lda]: ldx,
    [Matmul.ldr]: ldo,
    [Matmul.activation]: o.activation ?? Activation.none,
    [Matmul.scratch]: FREE,
    [Matmul.format]: format,
    [Matmul.scales]: SCALES,
  };
  for (const [i, word] of Object.entries(set)) words[+i] = word;
  memory.write(program, words);
  exports.run(program, 0, 1, 0, 1);
  const out = memory.f32(OUT, rows * ldo);
  for (let r = 0; r < rows; r++) for (let c = n; c < ldo; c++) expect(out[r * ldo + c]).toBe(0);
  expect(memory.f32(OUT + rows * ldo * 4, ldo).every((v) => v === 7)).toBe(true);
  return memory.read(OUT, rows, n, ldo);
}

/** A row of activations in integers, as quantize.ts says. */
function integers(x: Float32Array, format: Format) {
  const exact = format === Format.q8_exact;
  const levels = exact ? Math.min(32767, Math.floor((2 ** 31 - 1) / 127 / x.length)) : 127;
  const [least, most] = [Math.min(...x), Math.max(...x)];
  const lo = exact ? 0 : least;
  const range = exact ? Math.max(most, -least) : f(most - least);
  const inverse = range < 1e-33 ? 0 : f(levels / range);
  const even = (v: number) => (Math.abs(v % 1) === 0.5 ? 2 * Math.round(v / 2) : Math.round(v));
  return { lo, step: f(range / levels), u: Array.from(x, (v) => even(f(f(v - lo) * inverse))), levels };
}

/** What `product` gives, exactly: sums of integers, then the same few f32 operations. */
function naive(x: Float32Array, m: Matrix): Float32Array {
  const out = new Float32Array((x.length / m.k) * m.n);
  for (let r = 0; r * m.k < x.length; r++) {
    const { lo, step, u, levels } = integers(x.subarray(r * m.k, (r + 1) * m.k), m.format);
    expect(Math.max(...u.map(Math.abs))).toBeLessThanOrEqual(levels);
    for (let n = 0; n < m.n; n++) {
      let sum = 0;
      for (let i = 0; i < m.k; i++) sum += u[i] * m.q[n * m.k + i];
      expect(Math.abs(sum)).toBeLessThan(2 ** 31);
      out[r * m.n + n] = f(f(f(f(sum) * step) + f(lo * m.sums[n])) * m.scales[n]);
    }
  }
  return out;
}

/** The largest sum of weights of one sign in one lane of a chain. */
function fullest({ q, k, n }: Matrix): number {
  let most = 0;
  for (let r = 0; r < n; r++)
    for (let chain = 0; chain < k; chain += Quantized.chain)
      for (let lane = 0; lane < 8; lane++)
        for (const sign of [1, -1]) {
          let sum = 0;
          for (let i = chain; i < Math.min(chain + Quantized.chain, k); i++)
            if ((i % 16) >> 1 === lane) sum += Math.max(0, sign * q[r * k + i]);
          most = Math.max(most, sum);
        }
  return most;
}

function random(seed: number) {
  let state = seed | 1;
  const next = () => {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    return (state >>> 0) / 2 ** 32;
  };
  return { next, normal: () => next() + next() + next() + next() + next() + next() - 3 };
}

/** Rows of weights of many kinds. */
const kinds: { readonly [name: string]: (r: ReturnType<typeof random>, i: number) => number } = {
  normal: (r) => r.normal() / 20,
  equal: () => 0.25,
  negative: () => -3,
  signs: (_, i) => (i & 1 ? 1e-3 : -1e-3),
  spikes: (r) => (r.next() < 0.02 ? 40 * r.normal() : r.normal()),
  zeros: () => 0,
  tiny: (r) => r.normal() * 1e-36,
  huge: (r) => r.normal() * 1e30,
  sparse: (r) => (r.next() < 0.9 ? 0 : r.normal()),
};
const sizes = fc.record({
  seed: fc.integer(),
  kind: fc.constantFrom(...Object.keys(kinds)),
  n: fc.constantFrom(1, 3, 4, 5, 8, 11, 17),
  k: fc.constantFrom(1, 2, 5, 8, 15, 16, 31, 32, 33, 64, 100, 191, 192, 193, 384, 500),
  rows: fc.constantFrom(1, 2, 3, 4, 5, 7, 9),
  format: fc.constantFrom(...FORMATS),
});

describe("quantised matmul", () => {
  test("sums integers exactly: a naive loop's bits, in both builds", () => {
    fc.assert(
      fc.property(sizes, ({ seed, kind, n, k, rows, format }) => {
        const r = random(seed);
        const w = Array.from({ length: n * k }, (_, i) => kinds[kind](r, i));
        const x = Float32Array.from({ length: rows * k }, () => 2 * r.normal() + r.next());
        const [one, ...others] = builds.map((engine) => {
          const m = quantized(engine, w, n, k, format);
          return { m, out: product(engine, x, m) };
        });
        expect(one.out).toEqual(naive(x, one.m));
        for (const other of others) expect(other).toEqual(one);
      }),
      { numRuns: 150 },
    );
  });

  test("holds at the extremes: every lane of every chain full, every activation at its largest", () => {
    for (const engine of builds)
      for (const format of [Format.q8, Format.q8_exact])
        for (const sign of [1, -1])
          for (const k of [192, 384, 1536, 2048]) {
            const n = 8;
            const m = quantized(engine, new Float32Array(n * k).fill(1), n, k, format);
            const bytes = engine.memory.u8(W, n * rowBytes(k, format));
            const lanes = new Int32Array(8);
            for (let i = 0; i < k; i++) {
              if (i % Quantized.chain === 0) lanes.fill(0);
              const lane = (i % 16) >> 1;
              // 127, 127 and 4 of each lane's 16: the two largest share one pair, whose sum must not saturate.
              const size = format === Format.q8_exact ? 127 : Math.min(127, Quantized.bound - lanes[lane]);
              lanes[lane] += size;
              for (let r = 0; r < n; r++) bytes[r * rowBytes(k, format) + i] = sign * size;
            }
            const full = read(engine, n, k, format);
            expect(fullest(full)).toBe(format === Format.q8 ? Quantized.bound : 127 * 2 * (Quantized.chain / 16));
            // One 0 among ones makes u 127 for all others; with alternating halves the exact sums come near 2³¹.
            const x = new Float32Array(4 * k).fill(1);
            if (format === Format.q8) for (let r = 0; r < 4; r++) x[r * k + k - 1] = 0;
            expect(product(engine, x, full)).toEqual(naive(x, full));
            expect(m.n).toBe(n);
          }
  });

  test("a row's bits do not depend on the rows beside it", () => {
    fc.assert(
      fc.property(sizes, ({ seed, n, k, rows, format }) => {
        const r = random(seed);
        for (const engine of builds) {
          const m = quantized(
            engine,
            Array.from({ length: n * k }, () => r.normal()),
            n,
            k,
            format,
          );
          const x = Float32Array.from({ length: rows * k }, () => r.normal());
          const bias = Float32Array.from({ length: padded(n) }, (_, i) => (i < n ? r.normal() : 0));
          const o = { bias, activation: Activation.gelu };
          const all = product(engine, x, m, o);
          for (let i = 0; i < rows; i++)
            expect(product(engine, x.slice(i * k, (i + 1) * k), m, o)).toEqual(all.slice(i * n, (i + 1) * n));
        }
      }),
      { numRuns: 40 },
    );
  });

  test("adds bias, then the activation, then the residual", () => {
    const r = random(5);
    const [n, k, rows] = [11, 40, 6];
    for (const engine of builds)
      for (const format of FORMATS) {
        const w = Array.from({ length: n * k }, () => r.normal());
        const m = quantized(engine, w, n, k, format);
        const x = Float32Array.from({ length: rows * k }, () => r.normal());
        const bias = Float32Array.from({ length: padded(n) }, (_, i) => (i < n ? r.normal() : 0));
        const plain = naive(x, m);
        const want = plain.map((v, i) => f(Math.max(0, f(v + bias[i % n])) + 7)); // the residual is what lay in out
        expect(product(engine, x, m, { bias, residual: true, activation: Activation.relu })).toEqual(want);
      }
  });

  test("a row that is not finite gives NaN, and its neighbours their numbers", () => {
    for (const engine of builds)
      for (const format of FORMATS)
        for (const bad of [Number.NaN, Number.POSITIVE_INFINITY]) {
          const r = random(9);
          const [n, k] = [8, 37];
          const m = quantized(
            engine,
            Array.from({ length: n * k }, () => r.normal()),
            n,
            k,
            format,
          );
          const x = Float32Array.from({ length: 3 * k }, () => r.normal());
          const good = product(engine, x, m);
          x[k + 36] = bad;
          const out = product(engine, x, m);
          expect(out.slice(0, n)).toEqual(good.slice(0, n));
          expect(out.slice(2 * n)).toEqual(good.slice(2 * n));
          expect(out.slice(n, 2 * n).every(Number.isNaN)).toBe(true);
        }
  });
});

describe("quantised weights", () => {
  test("keep the bound that makes 16-bit sums exact", () => {
    fc.assert(
      fc.property(sizes, ({ seed, kind, n, k, format }) => {
        const r = random(seed);
        const w = Array.from({ length: n * k }, (_, i) => kinds[kind](r, i));
        const m = quantized(builds[0], w, n, k, format);
        if (format !== Format.q8_exact) expect(fullest(m)).toBeLessThanOrEqual(Quantized.bound);
        expect(m.q.every((q) => Math.abs(q) <= 127)).toBe(true);
        for (let i = 0; i < n; i++) expect(m.sums[i]).toBe(m.q.slice(i * k, (i + 1) * k).reduce((a, b) => a + b, 0));
      }),
      { numRuns: 150 },
    );
  });

  test("stand near what they were", () => {
    // Σ (W - scale · q)² / Σ W² of normal weights, and of weights that are all alike, the worst for chains.
    const most = { [Format.q8]: [4e-4, 3e-3], [Format.q8_exact]: [9e-5, 1e-9], [Format.q4]: [8e-3, 1e-2] };
    for (const format of FORMATS)
      for (const [which, kind] of [kinds.normal, kinds.equal].entries()) {
        const r = random(3);
        const [n, k] = [16, 384];
        const w = Array.from({ length: n * k }, (_, i) => kind(r, i));
        const m = quantized(builds[0], w, n, k, format);
        const error = w.reduce((e, v, i) => e + (v - m.scales[Math.floor(i / k)] * m.q[i]) ** 2, 0);
        expect(error / w.reduce((e, v) => e + v * v, 0)).toBeLessThan(most[format as keyof typeof most][which]);
      }
  });

  test("stand near what they were however large and small", () => {
    for (const format of FORMATS)
      for (const size of [1e-25, 1e15, 1e19, 1e30]) {
        const r = random(3);
        const [n, k] = [3, 100];
        const w = Array.from({ length: n * k }, () => r.normal() * size);
        const m = quantized(builds[0], w, n, k, format);
        const off = w.reduce((e, v, i) => e + ((v - m.scales[Math.floor(i / k)] * m.q[i]) / size) ** 2, 0);
        expect(off / w.reduce((e, v) => e + (v / size) ** 2, 0), `${size}`).toBeLessThan(0.05);
      }
  });

  test("are picked from tables", () => {
    const r = random(11);
    for (const { memory, exports } of builds)
      for (const format of FORMATS)
        for (const k of [5, 32, 100, 384]) {
          const n = 21;
          const m = quantized(
            builds.find((engine) => engine.memory === memory)!,
            Array.from({ length: n * k }, () => r.normal()),
            n,
            k,
            format,
          );
          const ids = Int32Array.of(0, 20, 7, 8, 8, 13);
          memory.write(X, ids);
          const words = new Int32Array(Record.words);
          const set = {
            [Record.op]: Op.embed,
            [Record.rows]: ids.length,
            [Record.out]: OUT,
            [Embed.ids]: X,
            [Embed.table]: W,
            [Embed.cols]: k,
            [Embed.ldo]: padded(k),
            [Embed.scale]: 0x3f000000, // 0.5
            [Embed.format]: format,
            [Embed.scales]: SCALES,
          };
          for (const [i, word] of Object.entries(set)) words[+i] = word;
          memory.write(FREE, words);
          exports.run(FREE, 0, 1, 0, 1);
          const want = Float32Array.from({ length: ids.length * k }, (_, i) => {
            const id = ids[Math.floor(i / k)];
            return f(m.q[id * k + (i % k)] * f(m.scales[id] * 0.5));
          });
          expect(memory.read(OUT, ids.length, k, padded(k))).toEqual(want);
        }
  });
});
