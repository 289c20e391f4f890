/** Every class of error, with its data; what failed harms nothing. */

import { bits, equal, fails, ok } from "./assert.mjs";
import { given, source } from "./files.mjs";

const TINY = "tests/fixtures/models/bert";
const INPUTS = { input_ids: [[1, 2, 3, 4]] };
const state = async (model, inputs = INPUTS) =>
  (await model.forward(inputs, { outputs: ["last_hidden_state"] })).last_hidden_state;

/** A safetensors file of the given header and data. */
function written(header, data = new Uint8Array(0)) {
  const text = new TextEncoder().encode(JSON.stringify(header));
  const bytes = new Uint8Array(8 + text.length + data.length);
  new DataView(bytes.buffer).setBigUint64(0, BigInt(text.length), true);
  bytes.set(text, 8);
  bytes.set(data, 8 + text.length);
  return bytes;
}

/** The file taken apart. */
function parts(bytes) {
  const size = Number(new DataView(bytes.buffer, bytes.byteOffset).getBigUint64(0, true));
  return { header: JSON.parse(new TextDecoder().decode(bytes.subarray(8, 8 + size))), data: bytes.subarray(8 + size) };
}

const tiny = (c) => given(c, TINY, ["config"]);

export const errors = {
  "MissingFileError: no such file": async (c) => {
    const folder = source(c, "tests/fixtures/models");
    await fails(c, c.wattention.loadModel(folder), "MissingFileError", { file: "config.json", source: folder });
    const { config } = await tiny(c);
    const empty = { name: "empty", open: async () => undefined };
    await fails(c, c.wattention.loadModel(empty), "MissingFileError", { source: "empty" });
    const noTokenizer = c.wattention.pipeline("feature-extraction", { config, weights: (await tiny(c)).weights });
    await fails(c, noTokenizer, "MissingFileError", { file: "tokenizer.json" });
  },
  "MissingFileError: the start page in place of a file": {
    needs: "server",
    async run(c) {
      await fails(c, c.wattention.loadModel(`${c.server}/fault/start-page`), "MissingFileError", {
        file: "config.json",
      });
      await fails(c, c.wattention.loadModel(`${c.server}/repo/tests/fixtures/models/none`), "MissingFileError");
    },
  },
  "FetchError: a status, a connection that breaks": {
    needs: "server",
    async run(c) {
      const load = (path) => c.wattention.loadModel(`${c.server}/fault/${path}`);
      const error = await fails(c, load("500"), "FetchError", { status: 500 });
      ok(error.url.startsWith(`${c.server}/fault/500/`), error.url);
      const cut = await fails(c, load("cut"), "FetchError");
      ok(cut.status === undefined && cut.cause, "has a cause");
    },
  },
  "FormatError: truncated, not safetensors, no JSON; with the offset": async (c) => {
    const files = await tiny(c);
    const { loadModel } = c.wattention;
    const short = { ...files, weights: files.weights.slice(0, -1000) };
    const error = await fails(c, loadModel(short), "FormatError", { file: "model.safetensors" });
    ok(typeof error.offset === "number", "offset");
    await fails(c, loadModel({ ...files, weights: new Uint8Array(100).fill(65) }), "FormatError");
    await fails(c, loadModel({ ...files, weights: new Uint8Array(3) }), "FormatError");
    await fails(c, loadModel({ ...files, config: "{" }), "FormatError", { file: "config.json" });
    const { header, data } = parts(files.weights);
    const [first] = Object.keys(header).filter((name) => name !== "__metadata__");
    const lying = { ...header, [first]: { ...header[first], data_offsets: [0, 2 ** 40] } };
    await fails(c, loadModel({ ...files, weights: written(lying, data) }), "FormatError");
  },
  "WeightsError and ShapeError: tensors that are not those": async (c) => {
    const files = await tiny(c);
    const { loadModel } = c.wattention;
    const { header, data } = parts(files.weights);
    const name = Object.keys(header).find((key) => key.endsWith("attention.self.query.weight"));
    const { [name]: one, ...rest } = header;
    const missing = await fails(
      c,
      loadModel({ ...files, weights: written({ ...rest, other: one }, data) }),
      "WeightsError",
    );
    equal([missing.missing, missing.unexpected], [[name], ["other"]]);
    const flat = { ...header, [name]: { ...one, shape: [one.shape[0] * one.shape[1]] } };
    const shape = await fails(c, loadModel({ ...files, weights: written(flat, data) }), "ShapeError");
    equal([shape.tensor, shape.actual], [name, flat[name].shape]);
  },
  "UnsupportedModelError, UnsupportedOptionError": async (c) => {
    const files = await tiny(c);
    const { loadModel, pipeline, supportedModels } = c.wattention;
    const mamba = loadModel({ ...files, config: { ...files.config, model_type: "mamba" } });
    await fails(c, mamba, "UnsupportedModelError", { model_type: "mamba", supported: await supportedModels() });
    await fails(c, loadModel(files, { dtype: "q3" }), "UnsupportedOptionError", { option: "dtype", value: "q3" });
    await fails(c, pipeline("depth-estimation", files), "UnsupportedOptionError", {
      option: "task",
      value: "depth-estimation",
    });
    await fails(c, loadModel(files, { memory_limit: -1 }), "UnsupportedOptionError", { option: "memory_limit" });
  },
  "a bad input leaves the engine as it was": async (c) => {
    const model = await c.wattention.loadModel(source(c, TINY));
    const before = await state(model);
    const { vocab_size } = (await tiny(c)).config;
    const data = { position: 2, id: vocab_size, vocab_size };
    await fails(c, state(model, { input_ids: [[1, 2, vocab_size]] }), "TokenOutOfRangeError", data);
    await fails(c, state(model, { input_ids: [[1, -1]] }), "TokenOutOfRangeError", { position: 1, id: -1 });
    const mask = { input_ids: [[1, 2, 3]], attention_mask: [[1, 1]] };
    const shape = await fails(c, state(model, mask), "ShapeError", { tensor: "attention_mask" });
    equal(shape.actual, [1, 2], "actual");
    await fails(c, state(model, { input_ids: [new Array(5000).fill(1)] }), "InputTooLongError", { length: 5000 });
    await fails(c, state(model, {}), "InputError");
    await fails(c, model.forward(INPUTS, { outputs: ["nothing"] }), "InputError");
    bits(await state(model), before, "afterwards");
    model.dispose();
  },
  "MemoryLimitError at load and at a run, with both numbers; the engine works on": async (c) => {
    const where = source(c, "models/default-embedder");
    const { total } = await c.wattention.plan(where, { batch: 1, length: 8 });
    const memory_limit = Math.ceil(total / 65536) * 65536;
    const small = await fails(c, c.wattention.loadModel(where, { memory_limit: 1 << 20 }), "MemoryLimitError", {
      limit: 1 << 20,
    });
    ok(small.needed > small.limit, `${small.needed}`);
    const model = await c.wattention.loadModel(where, { memory_limit });
    const inputs = { input_ids: [[101, 2054, 102]] };
    const before = await state(model, inputs);
    const large = { input_ids: Array.from({ length: 64 }, () => new Array(250).fill(7)) };
    const error = await fails(c, state(model, large), "MemoryLimitError", { limit: memory_limit });
    ok(error.needed > memory_limit, `${error.needed}`);
    bits(await state(model, inputs), before, "afterwards");
    model.dispose();
  },
  "InputError: what is no source, a stream read twice": async (c) => {
    const { loadModel, pipeline } = c.wattention;
    await fails(c, loadModel("no such place/at all/anywhere"), "InputError");
    await fails(c, loadModel(7), "InputError");
    const files = await tiny(c);
    const stream = { ...files, weights: new Blob([files.weights]).stream() };
    (await loadModel(stream)).dispose();
    const again = await loadModel(stream).catch((error) => error);
    ok(again instanceof Error, "a stream gives its bytes once");
    const extract = await pipeline("feature-extraction", source(c, "models/default-embedder"));
    await fails(c, extract(7), "InputError");
    extract.dispose();
  },
  "EngineError: bytes that are no module of ours": async (c) => {
    // magic, version and nothing else; workerd compiles no bytes at all
    const wasm = new Uint8Array([0, 97, 115, 109, 1, 0, 0, 0]);
    await fails(c, c.wattention.loadModel(source(c, TINY), { wasm }), "EngineError");
    (await c.wattention.loadModel(source(c, TINY))).dispose();
  },
};
