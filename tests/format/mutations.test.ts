import { isDeepStrictEqual } from "node:util";
import { describe, expect, it } from "vitest";
import { MissingFileError, WattentionError } from "../../src/errors.ts";
import { openCheckpoint } from "../../src/format/checkpoint.ts";
import { Config } from "../../src/format/config.ts";
import { byteReader, readJson } from "../../src/format/read.ts";
import { readSentenceTransformer } from "../../src/format/sentenceTransformers.ts";
import { chunks, folderOf, gather, readTensors } from "./helpers.ts";
import { mutateFiles, mutateSafetensors, randomFrom } from "./mutate.ts";
import { oracleSafetensors } from "./oracle.ts";
import { json, tensor, writeSafetensors } from "./write.ts";

const bytes = (n: number, from = 0) => Uint8Array.from({ length: n }, (_, i) => from + i * 37);
const first = writeSafetensors(
  {
    "embeddings.weight": tensor(new Float32Array(bytes(96).buffer), [6, 4]),
    none: tensor(bytes(0), [0, 7], "F32"),
    'odd ":{\\ name': tensor(bytes(12, 3), [3, 2], "BF16"),
    scalar: tensor(bytes(8, 9), [], "I64"),
    bits: tensor(bytes(6, 5), [4, 3], "F4"),
  },
  { format: "pt", 'a ":': "b" },
);
const second = writeSafetensors({ last: tensor(bytes(32, 77), [2, 4], "F32") });
const originals = [first, second, writeSafetensors({})];

/** expect().toEqual() takes most of the time when it is called this often. */
function same(got: unknown, want: unknown, what: string): void {
  if (!isDeepStrictEqual(got, want)) expect(got, what).toEqual(want);
}

/** The result, or undefined where the code under test threw an error of its own kind; any other error fails the test. */
async function attempt<T>(what: string, run: () => Promise<T> | T): Promise<T | undefined> {
  try {
    return await run();
  } catch (error) {
    if (error instanceof WattentionError) {
      if (error.message.length > 1000) expect.fail(`${what}: an error of ${error.message.length} characters`);
      return undefined;
    }
    throw new Error(`${what}: not a typed error`, { cause: error });
  }
}

describe("mutated files", { timeout: 120_000 }, () => {
  it("10,000 safetensors: a typed error or what a plain reader finds", async () => {
    const random = randomFrom(1);
    let read = 0;
    for (let i = 0; i < 10_000; i++) {
      const { bytes, what } = mutateSafetensors(originals[random(20) ? random(2) : 2], random);
      // By turns with a known size, and as a stream without.
      const got = await attempt(`${i}: ${what}`, () =>
        readTensors(i % 2 ? bytes : byteReader(chunks(bytes, [1 + random(40), 64])), 1 + random(3)),
      );
      const want = oracleSafetensors(bytes);
      if (!!got !== !!want) expect.fail(`${i}: ${what}: ${got ? "was read" : "was refused"}, unlike by the oracle`);
      if (!got || !want) continue;
      read++;
      same(new Map(Object.entries(got.header.metadata)), want.metadata, what);
      same(new Set(got.header.tensors.keys()), new Set(want.tensors.keys()), what);
      for (const [name, { dtype, shape, data }] of want.tensors) {
        const info = got.header.tensors.get(name)!;
        same([info.dtype, ...info.shape], [dtype, ...shape], what);
        same(Buffer.compare(got.data.get(name)!, data), 0, what);
      }
    }
    expect(read).toBeGreaterThan(500);
    expect(read).toBeLessThan(5000);
  });

  it("3,000 sharded checkpoints: a typed error or the tensors of all shards", async () => {
    const random = randomFrom(2);
    const names = ["s-1.safetensors", "s-2.safetensors"];
    const weight_map = Object.fromEntries(
      [first, second].flatMap((file, i) =>
        [...oracleSafetensors(file)!.tensors.keys()].map((name) => [name, names[i]]),
      ),
    );
    const index = "model.safetensors.index.json";
    const original = {
      [names[0]]: first,
      [names[1]]: second,
      [index]: json({ metadata: { total_size: 154 }, weight_map }),
    };
    let read = 0;
    for (let i = 0; i < 3000; i++) {
      const { files, what } = mutateFiles(original, random);
      const { sink, data } = gather(2);
      const got = await attempt(`${i}: ${what}`, async () => {
        const checkpoint = await openCheckpoint(folderOf(files));
        await checkpoint.stream(sink);
        return checkpoint;
      });
      if (!got) continue;
      read++;
      const shards = new Set(Object.values(JSON.parse(new TextDecoder().decode(files[index])).weight_map as object));
      const want = new Map([...shards].flatMap((shard) => [...oracleSafetensors(files[shard as string])!.tensors]));
      same(new Set(got.tensors.keys()), new Set(want.keys()), what);
      for (const [name, tensor] of want) same(Buffer.compare(data.get(name)!, tensor.data), 0, what);
    }
    expect(read).toBeGreaterThan(100);
    expect(read).toBeLessThan(2000);
  });

  it("10,000 configs: a typed error or what a plain reader finds", async () => {
    const random = randomFrom(3);
    const rope = { rope_type: "default", rope_theta: 10000 };
    const original = {
      "config.json": json({
        ...{ architectures: ["BertModel"], model_type: "bert", hidden_size: 384, dim: null, num_hidden_layers: 6 },
        ...{
          layer_norm_eps: 1e-12,
          hidden_act: "gelu",
          tie_word_embeddings: false,
          sliding_window: null,
          initializer_range: 0.02,
        },
        layer_types: ["full_attention", "sliding_attention"],
        rope_parameters: { full_attention: { ...rope, rope_theta: 160000.5 }, sliding_attention: rope },
        id2label: { 0: "no", 1: "yes" },
        task_specific_params: { a: { b: [1, 2, { c: 3 }] } },
      }),
    };
    let read = 0;
    let compared = 0;
    for (let i = 0; i < 10_000; i++) {
      const { files, what } = mutateFiles(original, random);
      const raw = await attempt(`${i}: ${what}`, () => readJson(folderOf(files), "config.json"));
      const plain = plainJson(files["config.json"]);
      if (plain === undefined || raw === undefined) {
        same(raw, plain, what);
        continue;
      }
      const config = await attempt(`${i}: ${what}`, () => new Config(raw));
      same(!!config, plain.model_type == null || typeof plain.model_type === "string", what);
      if (!config) continue;
      read++;
      for (const [name, ask, want] of FIELDS) {
        const got = await attempt(`${i}: ${what}: ${name}`, () => ask(config));
        const expected = want(plain);
        compared += Number(expected !== undefined);
        same(got, expected, `${i}: ${what}: ${name}`);
      }
    }
    expect(read).toBeGreaterThan(4000);
    expect(compared).toBeGreaterThan(40_000);
  });

  it("3,000 sentence-transformers folders: a typed error or a description within bounds", async () => {
    const random = randomFrom(4);
    const type = (name: string) => `sentence_transformers.models.${name}`;
    const names = ["Transformer", "Pooling", "Dense", "Normalize"];
    const original = {
      "modules.json": json(
        names.map((name, i) => ({ idx: i, name: `${i}`, path: i ? `${i}_${name}` : "", type: type(name) })),
      ),
      "1_Pooling/config.json": json({
        word_embedding_dimension: 8,
        pooling_mode_cls_token: false,
        pooling_mode_mean_tokens: true,
      }),
      "2_Dense/config.json": json({
        ...{ in_features: 8, out_features: 4, bias: true },
        activation_function: "torch.nn.modules.activation.Tanh",
      }),
      "sentence_bert_config.json": json({ max_seq_length: 256, do_lower_case: false }),
      "config_sentence_transformers.json": json({ prompts: { query: "q: " }, default_prompt_name: "query" }),
    };
    let read = 0;
    for (let i = 0; i < 3000; i++) {
      const { files, what } = mutateFiles(original, random);
      const opened: string[] = [];
      const got = await attempt(`${i}: ${what}`, () => readSentenceTransformer(folderOf(files, opened)));
      // No file but those of the folder.
      for (const path of opened) expect(path, what).not.toMatch(/(^|\/)\.\.(\/|$)|^\/|\\|\0/);
      if (!got) continue;
      read++;
      const { max_seq_length = 1, modules, prompts, default_prompt_name: prompt, do_lower_case } = got;
      expect(Number.isInteger(max_seq_length) && max_seq_length >= 1 && max_seq_length <= 2 ** 20, what).toBe(true);
      expect(typeof do_lower_case, what).toBe("boolean");
      for (const text of prompts.values()) expect(typeof text, what).toBe("string");
      if (prompt !== undefined) expect(prompts.has(prompt), what).toBe(true);
      for (const [j, m] of modules.entries()) {
        expect((m.type === "pooling") === (j === 0), what).toBe(true);
        if (m.type === "pooling") expect(m.modes.length, what).toBeGreaterThan(0);
        if (m.type !== "dense") continue;
        const raw = JSON.parse(new TextDecoder().decode(files[`${m.prefix}config.json`]));
        expect([m.in, m.out, m.bias], what).toEqual([raw.in_features, raw.out_features, raw.bias ?? true]);
      }
    }
    expect(read).toBeGreaterThan(500);
    expect(read).toBeLessThan(2500);
  });

  it("a folder that lacks its files", async () => {
    await expect(openCheckpoint(folderOf({}))).rejects.toThrow(MissingFileError);
  });
});

type Plain = Record<string, unknown>;
function plainJson(bytes: Uint8Array | undefined): Plain | undefined {
  try {
    const text = Buffer.from(bytes ?? []).toString("utf8");
    if (!Buffer.from(text).equals(Buffer.from(bytes ?? []))) return;
    const value = JSON.parse(text.replace(/^\ufeff/, ""));
    return Object.prototype.toString.call(value) === "[object Object]" ? value : undefined;
  } catch {
    return;
  }
}

// Each field with how the code under test is asked for it, and a plain account of what the answer must be: undefined for an error.
const between = (v: unknown, lo: number, hi: number, whole: boolean) =>
  typeof v === "number" && !Number.isNaN(v) && lo <= v && v <= hi && (!whole || Math.floor(v) === v) ? v : undefined;
const kindOf = (v: unknown) => Object.prototype.toString.call(v).slice(8, -1);

function plainRope(raw: Plain, type: string): unknown {
  const all = raw.rope_scaling ?? raw.rope_parameters ?? {};
  if (kindOf(all) !== "Object" || ((all as Plain).model_type != null && kindOf((all as Plain).model_type) !== "String"))
    return;
  let mine = all as Plain;
  if (mine[type] != null) mine = mine[type] as Plain;
  if (kindOf(mine) !== "Object" || (mine.model_type != null && kindOf(mine.model_type) !== "String")) return;
  const rope_type = mine.rope_type ?? mine.type ?? "default";
  const theta = between(mine.rope_theta ?? raw.rope_theta ?? 10000, 1, 1e12, false);
  const part = between(mine.partial_rotary_factor ?? raw.partial_rotary_factor ?? raw.rotary_pct ?? 1, 0, 1, false);
  if (typeof rope_type !== "string" || theta === undefined || part === undefined) return;
  return { rope_type, rope_theta: theta, partial_rotary_factor: part };
}

const FIELDS: [name: string, ask: (config: Config) => unknown, want: (raw: Plain) => unknown][] = [
  ["hidden_size", (c) => c.int(["hidden_size", "dim"]), (raw) => between(raw.hidden_size ?? raw.dim, 1, 1048576, true)],
  ["layers", (c) => c.int("num_hidden_layers", { max: 1024 }), (raw) => between(raw.num_hidden_layers, 1, 1024, true)],
  [
    "window",
    (c) => c.int("sliding_window", { default: 0 }),
    (raw) => (raw.sliding_window == null ? 0 : between(raw.sliding_window, 1, 1048576, true)),
  ],
  ["eps", (c) => c.number("layer_norm_eps", { max: 1 }), (raw) => between(raw.layer_norm_eps, 0, 1, false)],
  [
    "act",
    (c) => c.string("hidden_act", ["gelu", "relu"]),
    ({ hidden_act: v }) => (v === "gelu" || v === "relu" ? v : undefined),
  ],
  [
    "tie",
    (c) => c.bool("tie_word_embeddings", true),
    ({ tie_word_embeddings: v = true }) => (v === null ? true : kindOf(v) === "Boolean" ? v : undefined),
  ],
  ["type", (c) => c.model_type, (raw) => raw.model_type ?? ""],
  [
    "architectures",
    (c) => c.strings("architectures"),
    ({ architectures: v }) =>
      v == null ? [] : Array.isArray(v) && v.filter((x) => kindOf(x) !== "String").length === 0 ? v : undefined,
  ],
  [
    "labels",
    (c) => c.labels(),
    ({ id2label, num_labels }) => {
      if (id2label == null) {
        const n = num_labels == null ? 2 : between(num_labels, 1, 65536, true);
        return n === undefined ? undefined : [...Array(n).keys()].map((k) => `LABEL_${k}`);
      }
      if (kindOf(id2label) !== "Object") return;
      const map = id2label as Plain;
      const n = Object.getOwnPropertyNames(map).length;
      const list = [...Array(n).keys()].map((k) => map[String(k)]);
      return n > 0 && list.every((label) => kindOf(label) === "String") ? list : undefined;
    },
  ],
  ["rope", (c) => plainOf(c.rope("full_attention")), (raw) => plainRope(raw, "full_attention")],
  ["rope of another", (c) => plainOf(c.rope("sliding_attention")), (raw) => plainRope(raw, "sliding_attention")],
];
function plainOf({ more: _, ...rope }: ReturnType<Config["rope"]>) {
  return rope;
}
