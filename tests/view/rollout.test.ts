import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InputError, ShapeError, UnsupportedOptionError } from "../../src/errors.ts";
import { Tensor } from "../../src/tensor.ts";
import { attentionRollout } from "../../src/view/rollout.ts";

type Matrix = number[][];

/** The paper's equations, one loop each, in f64: 0.5 A + 0.5 I, rows normalised, A_last · … · A_first. */
function naive(layers: Matrix[][], fusion: "mean" | "max" | "min"): Matrix {
  let result: Matrix | undefined;
  for (const heads of layers) {
    const T = heads[0].length;
    const mixed: Matrix = [];
    for (let i = 0; i < T; i++) {
      mixed.push([]);
      let sum = 0;
      for (let j = 0; j < T; j++) {
        const values = heads.map((head) => head[i][j]);
        const fused = fusion === "mean" ? values.reduce((a, b) => a + b, 0) / values.length : Math[fusion](...values);
        mixed[i][j] = 0.5 * fused + (i === j ? 0.5 : 0);
        sum += mixed[i][j];
      }
      for (let j = 0; j < T; j++) mixed[i][j] /= sum;
    }
    if (!result) {
      result = mixed;
      continue;
    }
    const product: Matrix = mixed.map(() => new Array<number>(T).fill(0));
    for (let i = 0; i < T; i++)
      for (let j = 0; j < T; j++) for (let k = 0; k < T; k++) product[i][j] += mixed[i][k] * result[k][j];
    result = product;
  }
  return result!;
}

/** [layers][B][H][T][T] of probabilities. Some rows are zero, as those of padding are. */
const stacks = fc
  .record({
    L: fc.integer({ min: 1, max: 4 }),
    B: fc.integer({ min: 1, max: 2 }),
    H: fc.integer({ min: 1, max: 3 }),
    T: fc.integer({ min: 1, max: 7 }),
  })
  .chain(({ L, B, H, T }) => {
    const row = fc.array(fc.integer({ min: 0, max: 1000 }), { minLength: T, maxLength: T }).map((r) => {
      const sum = r.reduce((a, b) => a + b, 0) || 1;
      return r.map((v) => Math.fround(v / sum));
    });
    const nest = <X>(inner: fc.Arbitrary<X>, n: number) => fc.array(inner, { minLength: n, maxLength: n });
    return nest(nest(nest(nest(row, T), H), B), L).map((layers) => ({ layers, dims: [B, H, T, T] }));
  });

const tensors = (layers: Matrix[][][], dims: number[]) =>
  layers.map((layer) => new Tensor(Float32Array.from(layer.flat(3)), dims));

const identity = (T: number) => Float32Array.from({ length: T * T }, (_, i) => (i % (T + 1) ? 0 : 1));

describe("attentionRollout", () => {
  it("equals the paper's equations in f64, for every fusion, first layer and sequence", { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(
        stacks,
        fc.constantFrom("mean", "max", "min"),
        fc.nat(3),
        fc.nat(1),
        ({ layers, dims }, fusion, skip, b) => {
          const from = skip % layers.length;
          const sequence = b % dims[0];
          const rolled = attentionRollout(tensors(layers, dims), { fusion, from, sequence });
          const expected = naive(
            layers.slice(from).map((layer) => layer[sequence]),
            fusion,
          ).flat();
          expect(rolled.dims).toEqual([dims[2], dims[3]]);
          expected.forEach((v, i) => {
            expect(Math.abs(rolled.data[i] - v)).toBeLessThan(1e-7);
          });
        },
      ),
    );
  });

  it("has rows that sum to 1 and no negative share", () => {
    fc.assert(
      fc.property(stacks, fc.constantFrom("mean", "max", "min"), ({ layers, dims }, fusion) => {
        const rows = attentionRollout(tensors(layers, dims), { fusion }).tolist() as Matrix;
        for (const row of rows) {
          expect(Math.abs(row.reduce((a, b) => a + b, 0) - 1)).toBeLessThan(1e-6);
          expect(Math.min(...row)).toBeGreaterThanOrEqual(0);
        }
      }),
    );
  });

  it("leaves identity attention the identity", () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 9 }),
        fc.integer({ min: 1, max: 4 }),
        fc.integer({ min: 1, max: 5 }),
        (T, H, L) => {
          const eye = identity(T);
          const heads = new Float32Array(H * T * T);
          for (let h = 0; h < H; h++) heads.set(eye, h * T * T);
          const layers = Array.from({ length: L }, () => new Tensor(heads, [1, H, T, T]));
          expect(attentionRollout(layers).data).toEqual(eye);
        },
      ),
    );
  });

  it("keeps causal attention causal", () => {
    const causal = new Tensor(Float32Array.from([1, 0, 0, 0.5, 0.5, 0, 0.2, 0.3, 0.5]), [1, 1, 3, 3]);
    const [a, b] = attentionRollout([causal, causal]).tolist() as Matrix;
    expect(a).toEqual([1, 0, 0]);
    expect(b[2]).toBe(0);
  });

  it("names what is wrong", () => {
    const square = new Tensor(new Float32Array(8), [1, 2, 2, 2]);
    expect(() => attentionRollout([])).toThrow(InputError);
    expect(() => attentionRollout([square], { from: 1 })).toThrow(InputError);
    expect(() => attentionRollout([square], { sequence: 1 })).toThrow(InputError);
    expect(() => attentionRollout([new Tensor(new Float32Array(6), [1, 1, 2, 3])])).toThrow(ShapeError);
    expect(() => attentionRollout([square, new Tensor(new Float32Array(9), [1, 1, 3, 3])])).toThrow(ShapeError);
    expect(() => attentionRollout([square], { fusion: "median" as "mean" })).toThrow(UnsupportedOptionError);
  });
});
