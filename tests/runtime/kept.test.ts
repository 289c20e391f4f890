import { expect, it } from "vitest";
import { loadModel, type Tensor } from "../../src/host/node.ts";
import { random } from "../graph/random.ts";
import { tinyBert } from "../tiny.ts";

it("lists of ops that are kept give what fresh ones do: shapes come back, grow, and take optional inputs or none", async () => {
  const files = tinyBert({ positions: 64 });
  const next = random(7);
  const shapes = Array.from({ length: 6 }, (_, i) => {
    const lengths = Array.from({ length: 1 + (i % 3) }, () => 2 + Math.floor(next() * (i < 3 ? 10 : 60)));
    const input_ids = lengths.map((n) => Array.from({ length: n }, () => Math.floor(next() * 50)));
    // A first token stays even if it is masked: the dims are the same, and an input is there that was a null pointer.
    return [{ input_ids }, { input_ids, attention_mask: input_ids.map((row) => row.map((_, t) => +(t > 0))) }];
  }).flat();
  const numbers = async (model: Awaited<ReturnType<typeof loadModel>>, i: number) => [
    ...((await model.forward(shapes[i], { outputs: ["last_hidden_state"] })).last_hidden_state as Tensor).data,
  ];
  const alone: number[][] = [];
  for (const i of shapes.keys()) {
    const model = await loadModel(files);
    alone.push(await numbers(model, i));
    model.dispose();
  }
  const model = await loadModel(files);
  for (let round = 0; round < 80; round++) {
    const i = Math.floor(next() * Math.min(shapes.length, 2 + round / 4));
    expect(await numbers(model, i)).toEqual(alone[i]);
  }
});
