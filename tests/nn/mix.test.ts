import fc from "fast-check";
import { expect, it } from "vitest";
import { checkpointOf } from "../../src/format/tensors.ts";
import { Graph } from "../../src/graph/graph.ts";
import { mix } from "../../src/nn/patches.ts";
import { Session } from "../../src/runtime/session.ts";
import { Tensor } from "../../src/tensor.ts";
import { random } from "../graph/random.ts";
import "../../src/host/node.ts";

it("mix is a matmul by a table of stacked rows, which stays f32 in every dtype", async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.integer({ min: 1, max: 40 }), { minLength: 1, maxLength: 3 }),
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 1, max: 30 }),
      fc.integer({ min: 0, max: 3 }),
      fc.constantFrom("f32" as const, "q4" as const),
      async (sizes, cols, T, zeros, dtype) => {
        const next = random(7);
        const noise = (n: number) => Float32Array.from({ length: n }, () => next() - 0.5);
        const parts = sizes.map((n) => new Tensor(noise(n * cols), [1, n, cols]));
        const all = Object.fromEntries(parts.map((t, i) => [`p${i}`, t]));
        const g = new Graph(new Map(Object.entries(all).map(([name, { dims }]) => [name, { shape: dims }])));
        const weights = parts.map((t, i) => g.weight(`p${i}`, t.dims));
        const table = g.stack([...weights, ...(zeros ? [zeros] : [])], cols);
        const out = mix(g, g.input("x", "T", "f32", table.rows), table);
        const picked = g.embed(g.input("ids", "T"), table);
        const session = await Session.load({ nodes: g.nodes, outputs: { out, picked } }, [checkpointOf(all)], {
          dtype,
        });
        const rows = [...parts.flatMap((t) => [...t.data]), ...new Array(zeros * cols).fill(0)];
        const x = noise(T * table.rows);
        const ids = Int32Array.from({ length: T }, (_, t) => (t * 5) % table.rows);
        const dims = { T, B: 1, P: 0, S: 0, R: 0 };
        const [got, gathered] = await session.run(["out", "picked"], dims, { x, ids }, (v, copy) => v.map(copy));
        session.dispose();
        for (let t = 0; t < T; t++)
          for (let c = 0; c < cols; c++) {
            let want = 0;
            for (let r = 0; r < table.rows; r++) want += x[t * table.rows + r] * rows[r * cols + c];
            expect(got[t * cols + c]).toBeCloseTo(want, 5);
            expect(gathered[t * cols + c]).toBe(rows[ids[t] * cols + c]);
          }
      },
    ),
    { numRuns: 60 },
  );
});
