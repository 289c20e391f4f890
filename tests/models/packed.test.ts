import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { VERSION } from "../../src/format/packed.ts";
import { byteReader } from "../../src/format/read.ts";
import { readHeader } from "../../src/format/safetensors.ts";
import {
  AbortError,
  FormatError,
  InputError,
  type LoadOptions,
  loadModel,
  type Model,
  type ModelOutputs,
  type ModelSource,
  type Progress,
  pack,
  pipeline,
  plan,
  ShapeError,
  Tensor,
  UnsupportedOptionError,
  WattentionError,
  WeightsError,
} from "../../src/host/node.ts";
import type { ModelInputs } from "../../src/runtime/batch.ts";
import { folder } from "../cli/run.ts";
import { safetensors } from "../conformance/compare.ts";
import { unpacked } from "../q4.ts";
import { tinyBert } from "../tiny.ts";

const fixtures = fileURLToPath(new URL("../fixtures/", import.meta.url));
const DTYPES = ["f32", "q8", "q8-exact", "q4"] as const;
const at = folder();

/** Wide enough that every matrix but its classifier is quantised. */
const wide = () => tinyBert({ hidden: 48, heads: 4, vocab: 120 });
const input_ids = [
  [2, 3, 5, 7, 11, 13, 17],
  [1, 4, 9],
];

async function everything(model: Model, inputs: ModelInputs = { input_ids }): Promise<ModelOutputs> {
  try {
    return await model.forward(inputs, { outputs: model.outputs });
  } finally {
    model.dispose();
  }
}

/** Numbers as their bits, so that zeros differ by their sign and NaN is itself. */
const bits = (value: unknown): unknown =>
  value instanceof Tensor
    ? [value.dims, createHash("sha1").update(value.data).digest("hex")]
    : Array.isArray(value)
      ? value.map(bits)
      : Object.entries(value as object).map(([name, v]) => [name, bits(v)]);

async function same(source: ModelSource, options: LoadOptions, inputs: ModelInputs = { input_ids }): Promise<void> {
  const packed = await pack(source, options);
  const here = await everything(await loadModel(source, options), inputs);
  const there = await everything(await loadModel(packed, { deterministic: options.deterministic }), inputs);
  expect(bits(there)).toEqual(bits(here));
}

describe("a packed model gives the bits of the model that it was made of", () => {
  it.each(readdirSync(`${fixtures}models`))("%s", async (name) => {
    const source = `${fixtures}models/${name}`;
    const all = Object.entries(safetensors(pathToFileURL(`${source}/expected.safetensors`)));
    const first = all.filter(([key]) => key.startsWith("in.0.")).map(([key, tensor]) => [key.slice(5), tensor]);
    for (const dtype of DTYPES) await same(source, { dtype }, Object.fromEntries(first));
  });

  it.each(DTYPES)("a BERT of quantised matrices as %s, in both builds", async (dtype) => {
    for (const deterministic of [true, false]) await same(wide(), { dtype, deterministic });
    const header = await readHeader(byteReader(await pack(wide(), { dtype })), "x");
    const bytes = [...header.tensors.values()].filter((t) => t.dtype === "U8").length;
    expect(bytes).toBe(dtype === "f32" ? 0 : 2 * 4 + 3); // per layer q, k and v as one, and three more; the pooler, two tables
  });

  it.each(readdirSync(`${fixtures}embedders`))("%s, with its tokenizer, modules and prompts", async (name) => {
    const source = `${fixtures}embedders/${name}`;
    const { texts } = JSON.parse(readFileSync(`${source}/reference.json`, "utf8")) as { texts: string[] };
    const before = await pipeline("feature-extraction", source, { dtype: "q8" });
    const after = await pipeline("feature-extraction", await pack(source));
    for (const options of [{}, { prompt: "" }, { pooling: "none", prompt: "" }] as const)
      expect(bits(await after(texts, options))).toEqual(bits(await before(texts, options)));
    expect(after.tokenizer.encode(texts[0])).toEqual(before.tokenizer.encode(texts[0]));
    expect(after.pools).toBe(before.pools);
    before.dispose();
    after.dispose();
    // The body alone, without what stands behind it.
    await same(source, { dtype: "q8" });
  });
});

describe("tasks take packed models", () => {
  const task = (name: string) => `${fixtures}tasks/${name}`;
  const both = async <T extends { dispose(): void }>(
    name: string,
    load: (source: ModelSource, options?: LoadOptions) => Promise<T>,
    ask: (loaded: T) => Promise<unknown>,
  ) => {
    const answers: unknown[] = [];
    for (const [source, options] of [[task(name), { dtype: "q8" }], [await pack(task(name))]] as const) {
      const loaded = await load(source, options);
      answers.push(await ask(loaded));
      loaded.dispose();
    }
    expect(answers[1]).toEqual(answers[0]);
  };

  it("text-classification", () =>
    both(
      "classify",
      (...a) => pipeline("text-classification", ...a),
      (f) => f("a good day", { top_k: null }),
    ));
  it("text-ranking, with its activation", () =>
    both(
      "rerank-identity",
      (...a) => pipeline("text-ranking", ...a),
      (f) => f("rain", ["it rains", "the sun"]),
    ));
  it("token-classification", () =>
    both(
      "ner",
      (...a) => pipeline("token-classification", ...a),
      (f) => f("Anna lives in Berlin."),
    ));
  it("question-answering", () =>
    both(
      "qa",
      (...a) => pipeline("question-answering", ...a),
      (f) => f("Who?", "Anna lives in Berlin."),
    ));
  it("fill-mask", () =>
    both(
      "mask",
      (...a) => pipeline("fill-mask", ...a),
      (f) => f(`a ${f.tokenizer.mask_token} day`),
    ));
  it("zero-shot-classification", () =>
    both(
      "../embedders/bert-cls-dense",
      (...a) => pipeline("zero-shot-classification", ...a),
      (f) => f("rain", ["weather", "sport"]),
    ));
  it("a task that the model is not for says so, and one without a tokenizer too", async () => {
    await expect(pipeline("fill-mask", await pack(task("classify")))).rejects.toThrow(InputError);
    await expect(pipeline("feature-extraction", await pack(wide()))).rejects.toThrow("tokenizer.json");
  });
});

describe("a packed file", () => {
  const file = at("tiny.q8.safetensors");
  let bytes: Uint8Array;
  let expected: unknown;
  beforeAll(async () => {
    bytes = await pack(wide());
    writeFileSync(file, bytes);
    expected = bits(await everything(await loadModel(wide(), { dtype: "q8" })));
  });

  it("has the same bytes in both builds and every time", async () => {
    for (const dtype of DTYPES) {
      const one = await pack(wide(), { dtype, deterministic: true });
      expect(Buffer.compare(one, await pack(wide(), { dtype, deterministic: false })), dtype).toBe(0);
    }
    expect(Buffer.compare(bytes, await pack(wide(), { dtype: "q8" }))).toBe(0);
  });

  it.each(DTYPES)("as %s lies as version 2 says: who changes this reader changes VERSION", async (dtype) => {
    expect(VERSION).toBe("2");
    const read = async (file: Uint8Array) => {
      const { tensors, start } = await readHeader(byteReader(file), "x");
      const of = (name: string) => {
        const { begin, end } = tensors.get(name)!;
        return file.slice(start + begin, start + end).buffer;
      };
      return { of, names: [...tensors.keys()] };
    };
    const original = await read(wide().weights);
    const packed = await read(await pack(wide(), { dtype }));
    const attention = "encoder.layer.0.attention.self.";
    const parts = (what: string) => ["query", "key", "value"].map((part) => `${attention}${part}.${what}`);
    const three = parts("weight");
    expect(packed.names.slice(0, 2)).toEqual([three.join("+"), parts("bias").join("+")]);

    // Three matrices [48, 48] under each other.
    const [rows, cols] = [144, 48];
    const want = three.flatMap((name) => [...new Float32Array(original.of(name))]);
    const image = packed.of(three.join("+"));
    const got = dtype === "f32" ? panels(new Float32Array(image), rows, cols) : quantized(image, rows, cols, dtype);
    const dot = (x: number[], y: number[]) => x.reduce((sum, v, i) => sum + v * y[i], 0);
    const cosine = dot(got, want) / Math.sqrt(dot(got, got) * dot(want, want));
    if (dtype === "f32") expect(got).toEqual(want);
    else expect(cosine).toBeGreaterThan({ q8: 0.999, "q8-exact": 0.9999, q4: 0.98 }[dtype]);
    // Vectors, and a table of few rows, as they are.
    const plain = (name: string) => [...new Float32Array(packed.of(name))];
    expect(plain(parts("bias").join("+")).slice(0, 144)).toEqual(
      parts("bias").flatMap((name) => [...new Float32Array(original.of(name))]),
    );
    const types = "embeddings.token_type_embeddings.weight";
    expect(plain(types)).toEqual([...new Float32Array(original.of(types))]);
  });

  it("loads by its path, a file: URL, and from bytes of every kind", async () => {
    async function* stream() {
      for (let i = 0; i < bytes.length; i += 1000) yield bytes.slice(i, i + 1000);
    }
    for (const source of [file, pathToFileURL(file), bytes, bytes.slice().buffer, new Blob([bytes as never]), stream()])
      expect(bits(await everything(await loadModel(source)))).toEqual(expected);
  });

  describe("on the web", () => {
    let base = "";
    let asked: string[] = [];
    const server = createServer(({ url = "" }, response) => {
      asked.push(url);
      if (url.includes("/quantized/tiny.safetensors")) response.end(bytes);
      else response.writeHead(404).end();
    });
    beforeAll(async () => {
      await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
      base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    });
    afterAll(() => {
      server.closeAllConnections();
      server.close();
    });

    it("loads by its URL and by its place on the hub, in one request", async () => {
      const sources: [string, LoadOptions][] = [
        [`${base}/x/quantized/tiny.safetensors?a=b`, {}],
        ["org/name/quantized/tiny.safetensors", { endpoint: base, revision: "v1" }],
      ];
      asked = [];
      for (const [source, options] of sources)
        expect(bits(await everything(await loadModel(source, options)))).toEqual(expected);
      expect(asked).toEqual(["/x/quantized/tiny.safetensors?a=b", "/org/name/resolve/v1/quantized/tiny.safetensors"]);
    });
  });

  it("is planned exactly", async () => {
    for (const dtype of DTYPES)
      for (const shape of [{ length: 5 }, { batch: 20, length: 33 }]) {
        const packed = await pack(wide(), { dtype });
        const model = await loadModel(packed);
        const planned = await plan(packed, shape);
        expect(model.plan(shape)).toEqual(planned);
        const rows = new Array(shape.batch ?? 1).fill(new Array(shape.length).fill(3));
        await model.forward({ input_ids: rows });
        expect(model.session.engine.memory.bytes).toBe(planned.total);
        model.dispose();
      }
  });

  it("reports progress over all bytes, and aborts", async () => {
    const seen: number[] = [];
    (await loadModel(file, { progress_callback: (p) => seen.push(p.loaded / p.total) })).dispose();
    expect(seen.at(-1)).toBe(1);
    seen.length = 0;
    // A task has read the tokenizer before.
    const sentences = await pack(`${fixtures}embedders/bert-cls-dense`);
    const progress_callback = ({ loaded, total }: Progress) => seen.push(loaded / total);
    (await pipeline("feature-extraction", sentences, { progress_callback })).dispose();
    expect(seen.at(-1)).toBe(1);
    const controller = new AbortController();
    const { signal } = controller;
    const loading = loadModel(file, { signal, progress_callback: () => controller.abort() });
    await expect(loading).rejects.toBeInstanceOf(AbortError);
    await expect(pack(wide(), { signal })).rejects.toBeInstanceOf(AbortError);
  });

  it("keeps its dtype", async () => {
    (await loadModel(file, { dtype: "q8" })).dispose();
    for (const load of [() => loadModel(file, { dtype: "q4" }), () => plan(file, { length: 3, dtype: "f32" })]) {
      const error = await load().catch((e: unknown) => e);
      expect(error).toBeInstanceOf(UnsupportedOptionError);
      expect(error).toMatchObject({ option: "dtype", supported: ["q8"] });
    }
    await expect(pack(wide(), { dtype: "q5" as never })).rejects.toThrow(UnsupportedOptionError);
    await expect(pack(file)).rejects.toThrow("packed already");
  });

  it("that promises a tokenizer of terabytes takes no memory for it", async () => {
    const file = await pack(`${fixtures}embedders/bert-cls-dense`);
    const { tensors } = await readHeader(byteReader(file), "x");
    const more = 2 ** 41;
    const large = changed(file, (h) =>
      h
        .replace(/"data_offsets":\[(\d+),(\d+)\]/g, (_, a, b) => `"data_offsets":[${+a && +a + more},${+b + more}]`)
        .replace(`"shape":[${tensors.get("tokenizer")!.end}]`, `"shape":[${tensors.get("tokenizer")!.end + more}]`),
    );
    const stream = new Blob([large as never]).stream();
    await expect(pipeline("feature-extraction", stream)).rejects.toThrow(FormatError);
  });

  it("in the place of a folder's weights says what it is", async () => {
    const whole = at("whole");
    mkdirSync(whole);
    writeFileSync(join(whole, "config.json"), JSON.stringify(wide().config));
    writeFileSync(join(whole, "model.safetensors"), bytes);
    await expect(loadModel(whole)).rejects.toThrow("model.safetensors: is a packed model");
    (await loadModel(join(whole, "model.safetensors"))).dispose();
  });

  it("of a dtype that nobody knows is what is wrong", async () => {
    const file = changed(bytes, (h) => h.replace('"dtype":"q8"', '"dtype":"q9"'));
    await expect(loadModel(file)).rejects.toThrow(FormatError);
    await expect(loadModel(file)).rejects.toThrow('unknown dtype "q9"');
  });

  it("of another version says how to make it again", async () => {
    const error = await loadModel(changed(bytes, (h) => h.replace(`"version":"${VERSION}"`, '"version":"0"'))).catch(
      (e: unknown) => e,
    );
    expect(error).toBeInstanceOf(FormatError);
    expect(String(error)).toContain("wattention pack MODEL --dtype q8 -o FILE");
  });

  it.skipIf(!existsSync("/proc/self/fd"))("is closed after a load and after everything that fails", async () => {
    const alone = at("alone");
    mkdirSync(alone);
    const weights = join(alone, "model.safetensors"); // without its config.json
    writeFileSync(weights, wide().weights);
    const broken = at("broken.safetensors");
    writeFileSync(
      broken,
      changed(bytes, (h) => h.replaceAll('"pooler.dense.bias"', '"pooler.dense.bios"')),
    );
    const open = () => readdirSync("/proc/self/fd").length;
    const before = open();
    const signal = AbortSignal.abort();
    const loads = [
      () => loadModel(file, { dtype: "q4" }),
      () => loadModel(file, { signal }),
      () => loadModel(broken),
      () => loadModel(weights),
      () => pack(file),
      () => pack(weights),
      () => plan(weights, { length: 3 }),
      () => pipeline("feature-extraction", file), // no tokenizer
      () => pipeline("feature-extraction", weights),
      () => pipeline("fill-mask", file),
      () => pipeline("zero-shot-classification", weights),
    ];
    for (const load of loads) await expect(load()).rejects.toThrow(WattentionError);
    await plan(file, { length: 3 });
    (await loadModel(file)).dispose();
    expect(open()).toBe(before);
  });

  it("must hold exactly the weights of its graph", async () => {
    const renamed = changed(bytes, (h) => h.replaceAll('"pooler.dense.bias"', '"pooler.dense.bios"'));
    await expect(loadModel(renamed)).rejects.toThrow(WeightsError);
    // What stands behind the transformer has a slash in its names, and may be there without use, but not in a task that has it not.
    const more = changed(
      bytes,
      (h) => h.replace(/}$/, `,"2_Dense/x":{"dtype":"U8","shape":[4],"data_offsets":[END,END4]}}`),
      4,
    );
    (await loadModel(more)).dispose();
    const other = changed(
      bytes,
      (h) => h.replace(/}$/, `,"x":{"dtype":"U8","shape":[4],"data_offsets":[END,END4]}}`),
      4,
    );
    await expect(loadModel(other)).rejects.toThrow(WeightsError);
    // Two neighbours that share their bytes otherwise.
    const { tensors } = await readHeader(byteReader(bytes), "x");
    const floats = [...tensors.values()].filter((t) => t.dtype === "F32");
    const a = floats.find((t, i) => floats[i + 1].begin === t.end)!;
    const b = floats[floats.indexOf(a) + 1];
    const span = (t: typeof a, begin: number, end: number) => [
      `"${t.name}":{"dtype":"F32","shape":[${t.shape}],"data_offsets":[${t.begin},${t.end}]}`,
      `"${t.name}":{"dtype":"F32","shape":[${(end - begin) / 4}],"data_offsets":[${begin},${end}]}`,
    ];
    const moved = changed(bytes, (h) =>
      [span(a, a.begin, a.end - 64), span(b, a.end - 64, b.end)].reduce((text, [x, y]) => text.replace(x, y), h),
    );
    await expect(loadModel(moved)).rejects.toThrow(ShapeError);
  });
});

/** The file with another header, and zeros behind it. */
function changed(file: Uint8Array, change: (header: string) => string, more = 0): Uint8Array {
  const size = Number(new DataView(file.buffer, file.byteOffset).getBigUint64(0, true));
  const end = file.length - 8 - size;
  const text = change(new TextDecoder().decode(file.subarray(8, 8 + size)).trimEnd());
  const header = Buffer.from(text.replace("END4", `${end + more}`).replace("END", `${end}`));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return new Uint8Array(Buffer.concat([length, header, file.subarray(8 + size), Buffer.alloc(more)]));
}

/** [n/8][k][8] */
function panels(x: Float32Array, rows: number, cols: number): number[] {
  return Array.from({ length: rows * cols }, (_, i) => {
    const [row, col] = [Math.floor(i / cols), i % cols];
    return x[(row - (row % 8)) * cols + col * 8 + (row % 8)];
  });
}

/** Rows of bytes; behind them, at a multiple of 64, [n/8][scale, Σ q][8]. As assembly/kernels/quantize.ts describes them. */
function quantized(image: ArrayBuffer, rows: number, cols: number, dtype: string): number[] {
  const bytes = new Uint8Array(image);
  const whole = Math.ceil(cols / 32) * 32;
  const stride = dtype === "q4" ? (whole / 16) * 9 : whole;
  const scales = new Float32Array(image, Math.ceil((rows * stride) / 64) * 64);
  const q = (row: number, col: number) => {
    const at = row * stride;
    if (dtype !== "q4") return (bytes[at + col] << 24) >> 24;
    return unpacked(bytes, at, col, whole);
  };
  return Array.from({ length: rows }, (_, row) => {
    const numbers = Array.from({ length: cols }, (_, col) => q(row, col)); // behind them q4 may hold anything
    const at = (row - (row % 8)) * 2 + (row % 8);
    expect(scales[at + 8]).toBe(numbers.reduce((a, b) => a + b));
    return numbers.map((n) => n * scales[at]);
  }).flat();
}
