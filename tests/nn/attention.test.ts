import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  MultiheadAttention,
  ShapeError,
  scaledDotProductAttention,
  Tensor,
  UnsupportedOptionError,
  WeightsError,
} from "../../src/host/node.ts";
import { random } from "../graph/random.ts";

const tensor = (dims: number[], seed: number) => {
  const next = random(seed);
  return new Tensor(
    Float32Array.from({ length: dims.reduce((a, b) => a * b, 1) }, () => next() * 2 - 1),
    dims,
  );
};

/** softmax(q kᵀ scale + bias) v for one head by plain loops in f64; rows that see nothing are zeros. */
function naive(q: number[][], k: number[][], v: number[][], bias: (i: number, j: number) => number) {
  const probs = q.map((row, i) => {
    const s = k.map((key, j) => row.reduce((n, x, d) => n + x * key[d], 0) / Math.sqrt(row.length) + bias(i, j));
    const m = Math.max(...s);
    if (m === Number.NEGATIVE_INFINITY) return s.map(() => 0);
    const e = s.map((x) => Math.exp(x - m));
    const sum = e.reduce((a, b) => a + b);
    return e.map((x) => x / sum);
  });
  return { probs, out: probs.map((p) => v[0].map((_, d) => p.reduce((n, x, j) => n + x * v[j][d], 0))) };
}

const shape = fc.record({
  b: fc.integer({ min: 1, max: 3 }),
  kv: fc.integer({ min: 1, max: 2 }),
  group: fc.integer({ min: 1, max: 3 }),
  tq: fc.integer({ min: 1, max: 20 }),
  tk: fc.integer({ min: 1, max: 40 }),
  d: fc.integer({ min: 1, max: 20 }),
  dv: fc.integer({ min: 1, max: 20 }),
  seed: fc.nat(),
  causal: fc.boolean(),
  mask: fc.constantFrom("none", "Tq,Tk", "B,1,Tq,Tk", "1,H,1,Tk", "B,H,Tq,1"),
  bool: fc.boolean(),
});

describe("scaledDotProductAttention", () => {
  it("equals plain loops in f64 for any shape, grouping and mask", async () => {
    await fc.assert(
      fc.asyncProperty(shape, async ({ b, kv, group, tq, tk, d, dv, seed, causal, mask: kind, bool }) => {
        const h = kv * group;
        const q = tensor([b, h, tq, d], seed);
        const k = tensor([b, kv, tk, d], seed + 1);
        const v = tensor([b, kv, tk, dv], seed + 2);
        const sizes: { [name: string]: number } = { B: b, H: h, Tq: tq, Tk: tk, 1: 1 };
        const dims = kind === "none" ? [] : kind.split(",").map((name) => sizes[name]);
        const raw = tensor(dims, seed + 3);
        const mask =
          kind === "none"
            ? undefined
            : bool
              ? new Tensor(
                  Int32Array.from(raw.data, (x) => +(x > -0.4)),
                  dims,
                )
              : raw;
        const { out, probs } = await scaledDotProductAttention(q, k, v, { mask, causal, probs: true });
        expect(out.dims).toEqual([b, h, tq, dv]);
        const four = [...new Array<number>(4 - dims.length).fill(1), ...dims];
        const nested = (t: Tensor, i: number, j: number) => t.row(i).row(j).tolist() as number[][];
        for (let i = 0; i < b; i++) {
          for (let j = 0; j < h; j++) {
            const bias = (x: number, y: number) => {
              if (causal && y > x + tk - tq) return Number.NEGATIVE_INFINITY;
              if (!mask) return 0;
              const value =
                mask.data[four.reduce((n, size, axis) => n * size + (size === 1 ? 0 : [i, j, x, y][axis]), 0)];
              return bool ? (value ? 0 : Number.NEGATIVE_INFINITY) : value;
            };
            const want = naive(
              nested(q, i, j),
              nested(k, i, Math.floor(j / group)),
              nested(v, i, Math.floor(j / group)),
              bias,
            );
            const close = (got: number[][], expected: number[][]) =>
              got.flat().every((x, n) => Math.abs(x - expected.flat()[n]) < 1e-5);
            expect(close(nested(out, i, j), want.out)).toBe(true);
            expect(close(nested(probs as Tensor, i, j), want.probs)).toBe(true);
          }
        }
      }),
      { numRuns: 60 },
    );
  });

  it("takes what is empty: no batch, no query, no key", async () => {
    const q = tensor([1, 2, 3, 4], 1);
    const empty = tensor([1, 2, 0, 4], 1);
    const none = await scaledDotProductAttention(empty, q, q, { probs: true });
    expect([none.out.dims, none.probs?.dims]).toEqual([
      [1, 2, 0, 4],
      [1, 2, 0, 3],
    ]);
    const unseen = await scaledDotProductAttention(q, empty, empty, { probs: true });
    expect([unseen.out.dims, unseen.probs?.dims]).toEqual([
      [1, 2, 3, 4],
      [1, 2, 3, 0],
    ]);
    expect(unseen.out.data.every((x) => x === 0)).toBe(true);
    const flat = tensor([0, 4], 1);
    expect((await scaledDotProductAttention(flat, flat, flat)).out.dims).toEqual([0, 4]);
    for (const bad of [tensor([1, 2, 3, 0], 1), tensor([3, 0], 1)])
      await expect(scaledDotProductAttention(bad, bad, bad)).rejects.toThrow(ShapeError);
  });

  it("names what does not fit", async () => {
    const q = tensor([1, 2, 3, 4], 1);
    await expect(scaledDotProductAttention(q, tensor([1, 2, 3, 5], 1), q)).rejects.toThrow(ShapeError);
    await expect(scaledDotProductAttention(tensor([1, 3, 3, 4], 1), q, q)).rejects.toThrow(
      /^k: expected dims \[1, a divisor of 3/,
    );
    await expect(scaledDotProductAttention(q, q, q, { mask: tensor([5, 5], 1) })).rejects.toThrow(/^mask/);
    const scores = { data: [0, Number.NEGATIVE_INFINITY, 0], dims: [1, 3] };
    await expect(scaledDotProductAttention(q, q, q, { mask: scores })).rejects.toThrow(/^mask holds -Infinity/);
    await expect(scaledDotProductAttention(q, q, q, { window: 2 })).rejects.toThrow(UnsupportedOptionError);
    await expect(scaledDotProductAttention(tensor([4], 1), q, q)).rejects.toThrow(ShapeError);
    expect((await scaledDotProductAttention(q, q, q)).out.dims).toEqual([1, 2, 3, 4]);
    const { out } = await scaledDotProductAttention(q, q, q, { causal: true });
    for (const window of [3, 2 ** 30, 2 ** 32 + 1, Number.MAX_SAFE_INTEGER])
      expect((await scaledDotProductAttention(q, q, q, { causal: true, window })).out.data).toEqual(out.data);
  });
});

describe("MultiheadAttention", () => {
  const x = tensor([2, 5, 12], 3);

  it("refuses masks of other dims, also where they hold as many numbers", async () => {
    using layer = new MultiheadAttention(12, 3);
    const flags = (dims: number[]) => new Tensor(new Int32Array(dims.reduce((a, b) => a * b)), dims);
    for (const dims of [[5, 6, 5], [1, 5, 5], [25], [6, 25]])
      await expect(layer.forward(x, x, x, { attn_mask: flags(dims) })).rejects.toThrow(/^attn_mask/);
    for (const dims of [[5, 2], [10], [2, 5, 1]])
      await expect(layer.forward(x, x, x, { key_padding_mask: flags(dims) })).rejects.toThrow(/^key_padding_mask/);
    expect(
      (await layer.forward(x, x, x, { attn_mask: flags([6, 5, 5]), key_padding_mask: flags([2, 5]) })).out.data,
    ).toEqual((await layer.forward(x, x, x)).out.data);
  });

  it("refuses sizes that are none", () => {
    for (const n of [0, -1, 1.5, Number.NaN, "8"] as number[]) {
      expect(() => new MultiheadAttention(n, 1)).toThrow(UnsupportedOptionError);
      expect(() => new MultiheadAttention(8, n)).toThrow(UnsupportedOptionError);
      expect(() => new MultiheadAttention(8, 2, { kdim: n })).toThrow(/^kdim/);
      expect(() => new MultiheadAttention(8, 2, { vdim: n })).toThrow(/^vdim/);
    }
    expect(() => new MultiheadAttention(8, 3)).toThrow(/^num_heads: 3 .*"a divisor of embed_dim 8"/);
  });

  it("gives the same from packed, separate and Linear weights", async () => {
    const one = new MultiheadAttention(12, 3, { seed: 7 });
    const w = one.weights as { [name: string]: Tensor };
    const part = (name: string, i: number) => {
      const n = w[name].size / 3;
      return new Tensor(w[name].data.slice(i * n, (i + 1) * n), name.endsWith("weight") ? [12, 12] : [12]);
    };
    const rest = { "out_proj.weight": w["out_proj.weight"], "out_proj.bias": w["out_proj.bias"] };
    const separate = Object.fromEntries(["q", "k", "v"].map((n, i) => [`${n}_proj_weight`, part("in_proj_weight", i)]));
    const linear = Object.fromEntries(
      ["q", "k", "v"].flatMap((n, i) => [
        [`${n}_proj.weight`, part("in_proj_weight", i)],
        [`${n}_proj.bias`, part("in_proj_bias", i)],
      ]),
    );
    const want = await one.forward(x, x, x);
    for (const weights of [
      { ...separate, in_proj_bias: w.in_proj_bias, ...rest },
      { ...linear, ...rest },
    ]) {
      using other = new MultiheadAttention(12, 3, { weights });
      expect((await other.forward(x, x, x)).out.data).toEqual(want.out.data);
    }
    one.dispose();
    await expect(one.forward(x, x, x)).rejects.toThrow("disposed");
  });

  it("masks, averages and takes what has no batch as PyTorch does", async () => {
    using layer = new MultiheadAttention(12, 3);
    const { weights } = await layer.forward(x, x, x, { is_causal: true });
    const averaged = await layer.forward(x, x, x, { is_causal: true, average_attn_weights: true });
    const mean = (i: number, q: number, k: number) =>
      [0, 1, 2].reduce((n, h) => n + (weights as Tensor).data[((i * 3 + h) * 5 + q) * 5 + k], 0) / 3;
    for (const [n, p] of (averaged.weights as Tensor).data.entries()) {
      expect(p).toBeCloseTo(mean(Math.floor(n / 25), Math.floor(n / 5) % 5, n % 5), 6);
    }
    const causal = new Tensor(
      Int32Array.from({ length: 25 }, (_, n) => +(n % 5 > Math.floor(n / 5))),
      [5, 5],
    );
    expect((await layer.forward(x, x, x, { attn_mask: causal })).weights?.data).toEqual(weights?.data);
    const padding = new Tensor(Int32Array.from([0, 0, 0, 1, 1, 0, 0, 0, 0, 1]), [2, 5]);
    const padded = (await layer.forward(x, x, x, { key_padding_mask: padding, attn_mask: causal })).weights as Tensor;
    expect(padded.row(0).row(1).tolist()).toEqual(
      (padded.row(0).row(1).tolist() as number[][]).map((row) => [...row.slice(0, 3), 0, 0]),
    );
    const alone = await layer.forward(x.row(1), x.row(1), x.row(1), { need_weights: false });
    expect(alone.weights).toBeUndefined();
    expect(alone.out.dims).toEqual([5, 12]);
    expect(alone.out.data).toEqual((await layer.forward(x, x, x)).out.row(1).data);
  });

  it("names wrong shapes, missing and unknown weights", async () => {
    expect(() => new MultiheadAttention(10, 3)).toThrow(UnsupportedOptionError);
    expect(() => new MultiheadAttention(12, 3, { weights: { in_proj_weight: tensor([36, 11], 1) } })).toThrow(
      ShapeError,
    );
    expect(() => new MultiheadAttention(12, 3, { weights: { in_proj_weight: tensor([36, 12], 1) } })).toThrow(
      /missing tensors: in_proj_bias/,
    );
    const weights = { ...new MultiheadAttention(12, 3).weights, extra: x };
    expect(() => new MultiheadAttention(12, 3, { weights })).toThrow(WeightsError);
    using layer = new MultiheadAttention(12, 3);
    await expect(layer.forward(tensor([2, 5, 11], 1), x, x)).rejects.toThrow(ShapeError);
    await expect(layer.forward(x, x, x, { key_padding_mask: tensor([2, 4], 1) })).rejects.toThrow(/key_padding_mask/);
    expect((await layer.forward(x, x, x)).out.dims).toEqual([2, 5, 12]);
  });
});
