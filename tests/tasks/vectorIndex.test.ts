import fc from "fast-check";
import { describe, expect, it } from "vitest";
import {
  FormatError,
  InputError,
  pipeline,
  ShapeError,
  Tensor,
  UnsupportedOptionError,
  VectorIndex,
} from "../../src/host/node.ts";
import { random } from "../graph/random.ts";

const vectors = (n: number, dim: number, seed: number) => {
  const next = random(seed);
  return new Tensor(
    Float32Array.from({ length: n * dim }, () => Math.fround(next() * 2 - 1)),
    [n, dim],
  );
};
const dot = (a: Float32Array, b: Float32Array) => a.reduce((n, x, i) => n + x * b[i], 0);

describe("VectorIndex", () => {
  it("finds what a plain loop finds, through any adding, replacing, removing, saving and loading", async () => {
    const step = fc.oneof(
      fc.record({
        kind: fc.constant("add" as const),
        ids: fc.uniqueArray(fc.nat(40), { minLength: 1, maxLength: 20 }),
        seed: fc.nat(),
      }),
      fc.record({ kind: fc.constant("remove" as const), ids: fc.array(fc.nat(40), { maxLength: 10 }) }),
      fc.record({ kind: fc.constant("reload" as const) }),
    );
    await fc.assert(
      fc.asyncProperty(
        fc.integer({ min: 1, max: 20 }),
        fc.array(step, { maxLength: 12 }),
        fc.nat(),
        fc.integer({ min: 1, max: 8 }),
        async (dim, steps, seed, top_k) => {
          let index = await VectorIndex.create(dim);
          const model = new Map<string, Float32Array>();
          for (const s of steps) {
            if (s.kind === "add") {
              const v = vectors(s.ids.length, dim, s.seed);
              await index.add(s.ids.map(String), v);
              for (const [i, id] of s.ids.entries()) model.set(String(id), v.row(i).data);
            } else if (s.kind === "remove") {
              const ids = s.ids.map(String);
              expect(await index.remove(ids)).toBe(new Set(ids.filter((id) => model.has(id))).size);
              for (const id of ids) model.delete(id);
            } else {
              const bytes = await index.save();
              index.dispose();
              index = (await VectorIndex.load(bytes)).index;
            }
            expect(index.size).toBe(model.size);
          }
          const queries = vectors(3, dim, seed);
          const found = await index.search(queries, { top_k });
          for (const [i, hits] of found.entries()) {
            const query = queries.row(i).data;
            const want = [...model.values()].map((v) => dot(v, query)).sort((a, b) => b - a);
            expect(hits.length).toBe(Math.min(top_k, model.size));
            for (const [r, { id, score }] of hits.entries()) {
              expect(Math.abs(score - want[r])).toBeLessThan(1e-4);
              expect(Math.abs(score - dot(model.get(id)!, query))).toBeLessThan(1e-4);
            }
            expect(new Set(hits.map((h) => h.id)).size).toBe(hits.length);
          }
          for (const [id, v] of model) expect(index.get(id)).toEqual(v);
          index.dispose();
        },
      ),
      { numRuns: 25 },
    );
  });

  it("names what is wrong, and nothing was added then", async () => {
    const index = await VectorIndex.create(4);
    await expect(VectorIndex.create(0)).rejects.toThrow(UnsupportedOptionError);
    expect(() => index.add(["a"], vectors(1, 5, 1))).toThrow(ShapeError);
    expect(() => index.add(["a", "a"], vectors(2, 4, 1))).toThrow(InputError);
    expect(() => index.add(["a"], new Tensor(Float32Array.of(1, Number.NaN, 1, 1), [1, 4]))).toThrow(
      /vector a holds NaN/,
    );
    expect(() => index.search(vectors(1, 3, 1))).toThrow(ShapeError);
    expect(() => index.search(vectors(1, 4, 1), { top_k: 0 })).toThrow(UnsupportedOptionError);
    expect(index.size).toBe(0);
    expect(await index.search(vectors(2, 4, 1))).toEqual([[], []]);
    const bytes = await index.save();
    await expect(VectorIndex.load(bytes.slice(0, -3))).rejects.toThrow(FormatError);
    await expect(VectorIndex.load(new Uint8Array(40))).rejects.toThrow(FormatError);
  });
});

describe("semantic-search", () => {
  it("finds by meaning, replaces, removes, saves and loads", async () => {
    const search = await pipeline("semantic-search");
    await search.add(["A cat sleeps on the sofa.", { id: "money", text: "Shares fell on Monday." }]);
    await search.add([{ id: "bread", text: "How to bake bread at home." }]);
    expect((await search.search("kitten nap"))[0].id).toBe("A cat sleeps on the sofa.");
    expect((await search.search(["stock market", "loaf"], { top_k: 1 })).map(([best]) => best.id)).toEqual([
      "money",
      "bread",
    ]);
    await search.add([{ id: "money", text: "The dog barks at night." }]);
    expect(search.size).toBe(3);
    const bytes = await search.save();
    expect(await search.remove(["money", "nobody"])).toBe(1);
    expect((await search.search("puppy noise"))[0].id).not.toBe("money");
    await search.load(bytes);
    expect((await search.search("puppy noise"))[0]).toMatchObject({ id: "money", text: "The dog barks at night." });
    await expect(search.load(new Uint8Array(10))).rejects.toThrow(FormatError);
    expect(search.size).toBe(3);
    search.dispose();
  });
});
