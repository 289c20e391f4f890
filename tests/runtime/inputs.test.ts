import { expect, it } from "vitest";
import {
  InputError,
  InputTooLongError,
  loadModel,
  ShapeError,
  type Tensor,
  TokenOutOfRangeError,
  UnsupportedModelError,
  UnsupportedOptionError,
  WeightsError,
} from "../../src/host/node.ts";
import { tinyBert } from "../tiny.ts";

const hidden = async (model: Awaited<ReturnType<typeof loadModel>>, inputs: Parameters<typeof model.forward>[0]) =>
  (await model.forward(inputs, { outputs: ["last_hidden_state"] })).last_hidden_state as Tensor;

it("takes tensors, nested arrays, typed arrays, BigInts and one sequence alone as the same", async () => {
  const model = await loadModel(tinyBert());
  const want = await hidden(model, { input_ids: [[1, 2, 3]] });
  const forms = [
    { data: [1, 2, 3], dims: [1, 3] },
    { data: Int32Array.of(1, 2, 3), dims: [3] },
    { data: BigInt64Array.of(1n, 2n, 3n), dims: [1, 3] },
    [1, 2, 3],
    Int32Array.of(1, 2, 3),
    [Int32Array.of(1, 2, 3)],
    BigInt64Array.of(1n, 2n, 3n),
  ];
  for (const input_ids of forms) expect((await hidden(model, { input_ids })).data).toEqual(want.data);
});

it("names what is wrong with an input, and answers rightly afterwards", async () => {
  const model = await loadModel(tinyBert());
  const before = await hidden(model, { input_ids: [[1, 2, 3]] });
  const fails = async (inputs: object, error: new (...args: never[]) => Error, text: RegExp) => {
    const failed = await model.forward(inputs as never).catch((e: unknown) => e);
    expect(failed).toBeInstanceOf(error);
    expect((failed as Error).message).toMatch(text);
  };
  await fails({ input_ids: [[1, 50, 3]] }, TokenOutOfRangeError, /^input_ids\[1\] is 50, outside 0 … 49/);
  await fails({ input_ids: [[1], [2, -1]] }, TokenOutOfRangeError, /^input_ids\[3\] is -1/);
  await fails({ input_ids: [[1, 2]], token_type_ids: [[0, 2]] }, TokenOutOfRangeError, /^token_type_ids\[1\] is 2/);
  await fails({ input_ids: [[1, 2]], position_ids: [[0, 64]] }, TokenOutOfRangeError, /^position_ids/);
  await fails({ input_ids: [new Array<number>(65).fill(1)] }, InputTooLongError, /65 tokens .* 64 positions/);
  await fails(
    { input_ids: [[1, 2]], attention_mask: [[1, 1, 1]] },
    ShapeError,
    /^attention_mask: expected dims \[1, 2\], got \[1, 3\]/,
  );
  await fails({ input_ids: { data: [1, 2, 3], dims: [1, 2] } }, ShapeError, /^input_ids/);
  await fails({ input_ids: [[1.5]] }, InputError, /1.5/);
  await fails({ input_ids: [["2"]] }, InputError, /input_ids\[0\]/);
  await fails({ input_ids: [] }, InputError, /empty/);
  await fails({ input_ids: { data: [], dims: [1e12, 0] } }, InputError, /empty/);
  for (const dims of [[-1, -3], [1.5, 2], [1, 1, 3], [0, 3], []])
    await fails({ input_ids: { data: [1, 2, 3], dims } }, ShapeError, /^input_ids/);
  for (const row of [3, null, [], {}, "1"])
    await fails({ input_ids: [[1, 2], row] }, InputError, /^input_ids\[1\] is not a row/);
  await fails({ input_ids: [[1, null]] }, InputError, /^input_ids\[1\] is null/);
  await fails({ input_ids: [[[1]]] }, InputError, /^input_ids\[0\]/);
  await fails({ input_ids: "text" }, InputError, /input_ids/);
  await fails({}, InputError, /input_ids/);
  await fails({ input_ids: [[1]], pixel_values: [[1]] }, InputError, /no input pixel_values/);
  await expect(model.forward({ input_ids: [[1]] }, { outputs: ["logits"] })).rejects.toThrow(
    /no output "logits"; it has last_hidden_state/,
  );
  expect((await hidden(model, { input_ids: [[1, 2, 3]] })).data).toEqual(before.data);
  const many = new Array<number[]>(150_000).fill([1]); // more than a call may have arguments
  expect((await model.forward({ input_ids: many }, { outputs: [] })) as object).toEqual({});
});

it("names what is wrong with a model", async () => {
  const files = tinyBert();
  const config = files.config as Record<string, unknown>;
  await expect(loadModel({ ...files, config: { ...config, model_type: "gpt9" } })).rejects.toThrow(
    UnsupportedModelError,
  );
  await expect(loadModel({ ...files, config: { ...config, model_type: "gpt9" } })).rejects.toThrow(
    /supported are .*bert/,
  );
  await expect(loadModel({ ...files, config: { ...config, hidden_size: 30 } })).rejects.toThrow(ShapeError);
  await expect(loadModel({ ...files, config: { ...config, hidden_act: "mish" } })).rejects.toThrow(
    /config.json: hidden_act: "mish"/,
  );
  await expect(loadModel({ ...files, config: { ...config, num_hidden_layers: 3 } })).rejects.toThrow(
    /missing tensors: encoder.layer.2/,
  );
  await expect(loadModel({ ...files, config: { ...config, num_hidden_layers: 1 } })).rejects.toThrow(
    /unexpected tensors: encoder.layer.1/,
  );
  await expect(loadModel({ ...files, config: { ...config, num_hidden_layers: 1 } })).rejects.toThrow(WeightsError);
  await expect(loadModel({ ...files, config: { ...config, architectures: ["BertForMagic"] } })).rejects.toThrow(
    UnsupportedOptionError,
  );
  await expect(loadModel({ ...files, config: { ...config, is_decoder: true } })).rejects.toThrow(/is_decoder/);
  await expect(loadModel({ ...files, config: { ...config, position_embedding_type: "relative_key" } })).rejects.toThrow(
    /position_embedding_type/,
  );
});
