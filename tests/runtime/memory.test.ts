import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { expect, it } from "vitest";
import { loadModel, MemoryLimitError, plan, type Tensor, UnsupportedOptionError } from "../../src/host/node.ts";
import { random } from "../graph/random.ts";
import { tinyBert } from "../tiny.ts";

setFlagsFromString("--expose-gc");
const gc = runInNewContext("gc") as () => void;
const outputs = ["last_hidden_state"];

it("the plan from headers, the plan of the loaded model and the memory after a run are one number", async () => {
  for (const dtype of ["f32", "q8", "q8-exact", "q4"] as const)
    for (const shape of [{ length: 5 }, { length: 64 }, { batch: 40, length: 33 }]) {
      const files = tinyBert({ hidden: 35, heads: 5 });
      const model = await loadModel(files, { dtype });
      const { total } = model.plan(shape, outputs);
      expect((await plan(files, { ...shape, outputs, dtype })).total).toBe(total);
      const input_ids = Array.from({ length: shape.batch ?? 1 }, () => new Array<number>(shape.length).fill(3));
      await model.forward({ input_ids }, { outputs });
      expect(model.session.engine.memory.bytes).toBe(total);
    }
});

it("a run writes to the last page of its plan and to nothing behind it", async () => {
  const model = await loadModel(tinyBert());
  const { memory } = model.session.engine;
  for (const shape of [{ length: 64 }, { batch: 9, length: 64 }, { batch: 60, length: 41 }]) {
    const { weights, scratch } = model.plan(shape, outputs);
    const end = weights + scratch;
    memory.ensure(end + 300_000);
    const input_ids = Array.from({ length: shape.batch ?? 1 }, () => new Array<number>(shape.length).fill(3));
    const poison = memory.u8(weights, memory.bytes - weights).fill(0xff); // every float a NaN
    const { last_hidden_state } = (await model.forward({ input_ids }, { outputs })) as { last_hidden_state: Tensor };
    const high = weights + poison.findLastIndex((byte) => byte !== 0xff) + 1;
    expect(Math.ceil(high / 65536)).toBe(Math.ceil(end / 65536));
    expect(high).toBeLessThanOrEqual(end);
    expect(last_hidden_state.data.some(Number.isNaN)).toBe(false);
  }
});

it("10,000 calls of mixed lengths leave linear memory as it was and the heap within 1 MB", async () => {
  const model = await loadModel(tinyBert({ layers: 1 }));
  const next = random(5);
  const call = () => {
    const input_ids = Array.from({ length: 1 + Math.floor(next() * 3) }, () =>
      new Array<number>(1 + Math.floor(next() * 64)).fill(4),
    );
    return model.forward({ input_ids }, { outputs });
  };
  await model.forward({ input_ids: new Array<number[]>(3).fill(new Array<number>(64).fill(1)) }, { outputs });
  for (let i = 0; i < 500; i++) await call();
  const settled = () => {
    for (let i = 0; i < 4; i++) gc();
    return process.memoryUsage().heapUsed;
  };
  const before = { linear: model.session.engine.memory.bytes, heap: settled() };
  for (let i = 0; i < 10_000; i++) await call();
  expect(model.session.engine.memory.bytes).toBe(before.linear);
  expect(settled() - before.heap).toBeLessThan(1e6);
});

it("what does not fit fails before it runs, with both numbers, and the engine goes on", async () => {
  const files = tinyBert();
  const model = await loadModel(files, { memory_limit: 2_000_000 });
  const big = model.forward({ input_ids: new Array<number[]>(2000).fill(new Array<number>(64).fill(1)) });
  const error = await big.catch((e: unknown) => e);
  expect(error).toBeInstanceOf(MemoryLimitError);
  expect((error as MemoryLimitError).needed).toBeGreaterThan((error as MemoryLimitError).limit);
  expect((error as MemoryLimitError).limit).toBeLessThanOrEqual(2_000_000);
  expect((await model.forward({ input_ids: [[1, 2]] })).last_hidden_state).toMatchObject({ dims: [1, 2, 24] });
  await expect(loadModel(files, { memory_limit: 65_536 })).rejects.toBeInstanceOf(MemoryLimitError);
});

it("a limit that is none is refused by name", async () => {
  for (const memory_limit of [0, -1, 65_535, 2 ** 32 + 1, Number.NaN, Number.POSITIVE_INFINITY, "2gb" as never])
    await expect(loadModel(tinyBert(), { memory_limit })).rejects.toThrow(/^memory_limit/);
  await expect(loadModel(tinyBert(), { memory_limit: -1 })).rejects.toBeInstanceOf(UnsupportedOptionError);
});

it("a plan beyond 4 GiB is a number, and a run of it an error with both numbers", async () => {
  const model = await loadModel(tinyBert({ positions: 4096 }));
  const shape = { batch: 64, length: 4096 };
  const { total } = model.plan(shape, ["attentions"]); // 2 layers of 64 · 3 · 4096² probabilities: sizes and offsets beyond 32 bits
  expect(total).toBeGreaterThan(64 * 3 * 4096 ** 2 * 4 * 2);
  expect(model.plan({ length: 2 ** 40 }).total).toBeGreaterThan(2 ** 40);
  const input_ids = new Array<number[]>(shape.batch).fill(new Array<number>(shape.length).fill(1));
  const error = await model.forward({ input_ids }, { outputs: ["attentions"] }).catch((e: unknown) => e);
  expect(error).toBeInstanceOf(MemoryLimitError);
  expect(error).toMatchObject({ needed: total, limit: 2 ** 32 });
  expect((await model.forward({ input_ids: [[1, 2]] })).last_hidden_state).toMatchObject({ dims: [1, 2, 24] });
});

it("a config that asks for a million layers is refused at once", async () => {
  for (const model_type of ["bert", "albert"]) {
    const { config, weights } = tinyBert();
    const lying = { ...(config as object), model_type, embedding_size: 24, num_hidden_layers: 2 ** 20 };
    await expect(loadModel({ config: lying, weights })).rejects.toThrow(/^ops: "more" .* 32768/);
  }
});
