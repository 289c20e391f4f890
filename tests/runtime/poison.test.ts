import fc from "fast-check";
import { expect, it } from "vitest";
import { loadModel, scaledDotProductAttention, Tensor } from "../../src/host/node.ts";
import { BASE, sharedEngine } from "../../src/runtime/engine.ts";
import { random } from "../graph/random.ts";
import { tinyBert } from "../tiny.ts";

/** What memory may hold before a run: zeros, NaN in every float, the largest numbers. */
const POISONS = [0, 0xff, 0x7f];

it("nothing that a run did not write itself reaches a result: models of odd widths", async () => {
  const input_ids = [[1, 2, 3], new Array<number>(29).fill(4), [7], [1, 2, 3, 4, 5, 6, 7]];
  const attention_mask = input_ids.map((row, b) => row.map((_, t) => +(b % 2 || t > 0)));
  for (const [hidden, heads, dtype] of [
    [15, 3, "f32"],
    [15, 5, "f32"],
    [9, 9, "f32"],
    [1, 1, "f32"],
    [35, 5, "f32"],
    [33, 1, "f32"],
    [35, 5, "q8"],
    [33, 1, "q8-exact"],
    [45, 3, "q4"],
  ] as const) {
    const model = await loadModel(tinyBert({ hidden, heads }), { dtype });
    const { memory } = model.session.engine;
    const { end } = model.session.layout;
    for (const inputs of [{ input_ids }, { input_ids, attention_mask }]) {
      await model.forward(inputs, { outputs: model.outputs });
      const runs: number[][] = [];
      for (const byte of POISONS) {
        memory.u8(end, memory.bytes - end).fill(byte);
        const all = Object.values(await model.forward(inputs, { outputs: model.outputs })).flat();
        runs.push(all.flatMap((t) => [...t.data]));
      }
      expect(runs[1]).toEqual(runs[0]);
      expect(runs[2]).toEqual(runs[0]);
      expect(runs[0].every(Number.isFinite)).toBe(true);
    }
  }
});

it("nor attention of any shape, masked or not", async () => {
  const { memory } = await sharedEngine();
  memory.ensure(4e6);
  const size = (max: number) => fc.integer({ min: 1, max });
  const shape = fc.record({
    b: size(3),
    kv: size(3),
    group: size(3),
    tq: size(60),
    tk: size(230),
    d: size(20),
    dv: size(20),
  });
  const options = fc.record({
    mask: fc.boolean(),
    causal: fc.boolean(),
    probs: fc.boolean(),
    softcap: fc.constantFrom(0, 2),
  });
  await fc.assert(
    fc.asyncProperty(shape, options, async ({ b, kv, group, tq, tk, d, dv }, { mask: masked, ...o }) => {
      const next = random(tq * tk + d);
      const tensor = (...dims: number[]) =>
        new Tensor(
          Float32Array.from({ length: dims.reduce((a, b) => a * b) }, () => next() - 0.5),
          dims,
        );
      const [q, k, v] = [tensor(b, kv * group, tq, d), tensor(b, kv, tk, d), tensor(b, kv, tk, dv)];
      const mask = masked ? tensor(b, 1, tq, tk) : undefined;
      const runs: number[][] = [];
      for (const byte of POISONS) {
        memory.u8(BASE, memory.bytes - BASE).fill(byte);
        const { out, probs } = await scaledDotProductAttention(q, k, v, { ...o, mask });
        runs.push([...out.data, ...(probs?.data ?? [])]);
      }
      expect(runs[1]).toEqual(runs[0]);
      expect(runs[2]).toEqual(runs[0]);
      expect(runs[0].every(Number.isFinite)).toBe(true);
    }),
    { numRuns: 60 },
  );
});
