import fc from "fast-check";
import { expect, it } from "vitest";
import { loadModel, type Tensor } from "../../src/host/node.ts";
import { tinyBert } from "../tiny.ts";

const ids = fc.array(fc.integer({ min: 0, max: 49 }), { minLength: 1, maxLength: 250 });
const outputs = ["last_hidden_state", "pooler_output"];

const options = (["f32", "q8", "q8-exact", "q4"] as const).flatMap((dtype) =>
  [false, true].map((deterministic) => ({ dtype, deterministic })),
);

it.each(options)("an output row has the same bits alone, in any batch and at any place in it: %o", async (o) => {
  const model = await loadModel(tinyBert({ hidden: 40, heads: 4, positions: 256 }), o);
  const run = async (input_ids: number[][]) =>
    (await model.forward({ input_ids }, { outputs })) as { [name: string]: Tensor };
  await fc.assert(
    fc.asyncProperty(fc.array(ids, { minLength: 1, maxLength: 6 }), async (batch) => {
      const all = await run(batch);
      const length = Math.max(...batch.map((row) => row.length));
      for (const [b, row] of batch.entries()) {
        const alone = await run([row]);
        const rows = all.last_hidden_state.data.subarray(b * length * 40, (b * length + row.length) * 40);
        expect(Buffer.from(rows.slice().buffer).equals(Buffer.from(alone.last_hidden_state.data.buffer))).toBe(true);
        expect([...all.pooler_output.row(b).data]).toEqual([...alone.pooler_output.data]);
      }
    }),
    { numRuns: 20 },
  );
  model.dispose();
});

it("padding of any kind changes no bit of what is not padding", async () => {
  const model = await loadModel(tinyBert({ positions: 256 }));
  await fc.assert(
    fc.asyncProperty(ids, fc.nat(20), async (row, pads) => {
      const alone = (await model.forward({ input_ids: [row] })).last_hidden_state as Tensor;
      const dims = [1, row.length + pads];
      const padded = { data: Int32Array.from([...row, ...new Array<number>(pads).fill(7)]), dims };
      const attention_mask = { data: Int32Array.from({ length: dims[1] }, (_, i) => +(i < row.length)), dims };
      const got = (await model.forward({ input_ids: padded, attention_mask })).last_hidden_state as Tensor;
      expect(got.dims).toEqual([...dims, 24]);
      expect([...got.data.subarray(0, row.length * 24)]).toEqual([...alone.data]);
      expect(got.data.subarray(row.length * 24).every((x) => x === 0)).toBe(true);
    }),
    { numRuns: 40 },
  );
});
