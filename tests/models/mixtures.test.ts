import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { loadModel } from "../../src/host/node.ts";
import type { Tensor } from "../../src/tensor.ts";

const TEXT = Array.from({ length: 61 }, (_, i) => 3 + ((i * i * 7) % 37));

it.each([
  ["mixtral", "f32"],
  ["qwen2-moe", "f32"],
  ["gpt-oss", "f32"],
  ["mixtral", "q8"],
  ["qwen2-moe", "q8"],
  ["qwen3-moe", "q4"],
  ["gpt-oss", "q8-exact"],
] as const)("a token of %s in %s is the same bits whatever else passes its experts", async (name, dtype) => {
  const model = await loadModel(fileURLToPath(new URL(`../fixtures/models/${name}`, import.meta.url)), { dtype });
  try {
    const run = async (input_ids: number[][]) => {
      const { logits } = await model.forward({ input_ids }, { outputs: ["logits"] });
      return logits as Tensor;
    };
    const all = await run([TEXT, TEXT.slice(0, 5), TEXT.toReversed()]);
    const [, T, V] = all.dims;
    expect(all.data.every(Number.isFinite)).toBe(true);
    for (const n of [1, 5, 24, 61]) {
      const alone = await run([TEXT.slice(0, n)]);
      expect(alone.data).toEqual(all.data.slice(0, n * V));
    }
    expect((await run([TEXT.slice(0, 5)])).data).toEqual(all.data.slice(T * V, (T + 5) * V));
  } finally {
    model.dispose();
  }
});
