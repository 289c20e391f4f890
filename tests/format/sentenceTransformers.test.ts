import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { FormatError, MissingFileError, UnsupportedOptionError } from "../../src/errors.ts";
import { readSentenceTransformer } from "../../src/format/sentenceTransformers.ts";
import { folderOf } from "./helpers.ts";
import { json } from "./write.ts";

const module = (type: string, path = "") => ({ idx: 0, name: "0", path, type });
const st = (name: string, path?: string) => module(`sentence_transformers.models.${name}`, path);
const transformer = st("Transformer");

/** A folder of modules after the transformer, each with its config. */
function folder(modules: [name: string, config?: object][], more: Record<string, object> = {}) {
  const files: Record<string, object> = {
    "modules.json": [transformer, ...modules.map(([name], i) => st(name, `${i + 1}_${name}`))],
    ...more,
  };
  for (const [i, [name, config]] of modules.entries()) if (config) files[`${i + 1}_${name}/config.json`] = config;
  return folderOf(Object.fromEntries(Object.entries(files).map(([path, value]) => [path, json(value)])));
}
const read = (...args: Parameters<typeof folder>) => readSentenceTransformer(folder(...args));
const mean = { type: "pooling", modes: ["mean"], include_prompt: true };
const dense = { in_features: 8, out_features: 4, bias: true, activation_function: "torch.nn.modules.activation.Tanh" };

describe("modules", () => {
  it("undefined where there are none", async () => {
    expect(await readSentenceTransformer(folderOf({}))).toBeUndefined();
  });
  it("a transformer alone", async () => {
    expect(await read([])).toEqual({ prefix: "", do_lower_case: false, prompts: new Map(), modules: [] });
  });

  // As sentence-transformers 2 to 6.2 write them.
  it.each<[string, object, string[]]>([
    [
      "old",
      { pooling_mode_cls_token: false, pooling_mode_mean_tokens: true, pooling_mode_max_tokens: false },
      ["mean"],
    ],
    ["old, cls", { word_embedding_dimension: 8, pooling_mode_cls_token: true }, ["cls"]],
    ["old, max", { pooling_mode_max_tokens: true }, ["max"]],
    ["old, sqrt", { pooling_mode_mean_sqrt_len_tokens: true }, ["mean_sqrt_len_tokens"]],
    ["old, weighted", { pooling_mode_weightedmean_tokens: true }, ["weightedmean"]],
    ["old, last", { pooling_mode_lasttoken: true }, ["lasttoken"]],
    [
      "old, several",
      { pooling_mode_lasttoken: true, pooling_mode_mean_tokens: true, pooling_mode_cls_token: true },
      ["cls", "mean", "lasttoken"],
    ],
    ["old, none", { pooling_mode_mean_tokens: false }, ["mean"]],
    ["nothing", {}, ["mean"]],
    ["new", { embedding_dimension: 8, pooling_mode: "cls" }, ["cls"]],
    ["new, several, in their order", { pooling_mode: ["mean", "cls"] }, ["mean", "cls"]],
    ["both", { pooling_mode: "max", pooling_mode_cls_token: true }, ["max"]],
  ])("pooling: %s", async (_, config, modes) => {
    expect((await read([["Pooling", config]]))!.modules).toEqual([{ ...mean, modes }]);
  });
  it("pooling without the prompt", async () => {
    expect((await read([["Pooling", { include_prompt: false }]]))!.modules).toEqual([
      { ...mean, include_prompt: false },
    ]);
  });

  it.each([
    ["linear.Identity", "identity"],
    ["activation.Tanh", "tanh"],
    ["activation.ReLU", "relu"],
    ["activation.GELU", "gelu"],
    ["activation.SiLU", "silu"],
    ["activation.Sigmoid", "sigmoid"],
  ])("dense with %s, and what follows", async (name, activation) => {
    const config = { ...dense, bias: false, activation_function: `torch.nn.modules.${name}` };
    const modules = await read([
      ["Pooling", {}],
      ["Dense", config],
      ["Dropout", {}],
      ["LayerNorm", { dimension: 4 }],
      ["Normalize"],
    ]);
    expect(modules!.modules).toEqual([
      mean,
      { type: "dense", prefix: "2_Dense/", in: 8, out: 4, bias: false, activation },
      { type: "layer_norm", prefix: "4_LayerNorm/", size: 4 },
      { type: "normalize" },
    ]);
  });
  it("dense as PyTorch has it by default", async () => {
    const { modules } = (await read([
      ["Pooling", {}],
      ["Dense", { in_features: 8, out_features: 4 }],
    ]))!;
    expect(modules[1]).toMatchObject({ bias: true, activation: "tanh" });
  });

  it("the names that sentence-transformers 6 gives them, and a transformer in a folder", async () => {
    const types = [
      "base.modules.transformer.Transformer",
      "sentence_transformer.modules.pooling.Pooling",
      "base.modules.normalize.Normalize",
    ];
    const paths = ["0_Transformer", "1_Pooling", "2_Normalize"];
    const list = types.map((type, i) => module(`sentence_transformers.${type}`, paths[i]));
    const files = {
      "modules.json": json(list),
      "1_Pooling/config.json": json({ pooling_mode: "mean" }),
      "2_Normalize/config.json": json({ module_input_name: "sentence_embedding" }),
      "0_Transformer/sentence_bert_config.json": json({ max_seq_length: 99 }),
    };
    expect(await readSentenceTransformer(folderOf(files))).toMatchObject({
      prefix: "0_Transformer/",
      max_seq_length: 99,
      modules: [mean, { type: "normalize" }],
    });
  });

  const unsupported: [string, [string, object?][], string][] = [
    [
      "a module that is not known",
      [
        ["Pooling", {}],
        ["WordWeights", {}],
      ],
      "modules.json: 2: type",
    ],
    [
      "a module before the pooling",
      [
        ["Dense", dense],
        ["Pooling", {}],
      ],
      "modules.json: 1: type",
    ],
    [
      "two poolings",
      [
        ["Pooling", {}],
        ["Pooling", {}],
      ],
      "modules.json: 2: type",
    ],
    ["a mode that is not known", [["Pooling", { pooling_mode: "attention" }]], "1_Pooling/config.json: pooling_mode"],
    ["a mode among several", [["Pooling", { pooling_mode: ["cls", "x"] }]], "1_Pooling/config.json: pooling_mode"],
    ["a mode that is a number", [["Pooling", { pooling_mode: 1 }]], "1_Pooling/config.json: pooling_mode"],
    [
      "an old mode that is a number",
      [["Pooling", { pooling_mode_mean_tokens: 1 }]],
      "1_Pooling/config.json: pooling_mode_mean_tokens",
    ],
    [
      "an activation from elsewhere",
      [
        ["Pooling", {}],
        ["Dense", { ...dense, activation_function: "os.system" }],
      ],
      "2_Dense/config.json: activation_function",
    ],
    [
      "an odd activation",
      [
        ["Pooling", {}],
        ["Dense", { ...dense, activation_function: "torch.nn.modules.activation.Mish" }],
      ],
      "2_Dense/config.json: activation_function",
    ],
    [
      "a residual",
      [
        ["Pooling", {}],
        ["Dense", { ...dense, use_residual: true }],
      ],
      "2_Dense/config.json: use_residual",
    ],
    [
      "a dense over tokens",
      [
        ["Pooling", {}],
        ["Dense", { ...dense, module_input_name: "token_embeddings" }],
      ],
      "2_Dense/config.json: module_input_name",
    ],
    [
      "an absurd width",
      [
        ["Pooling", {}],
        ["Dense", { ...dense, out_features: 1e9 }],
      ],
      "2_Dense/config.json: out_features",
    ],
    [
      "no width",
      [
        ["Pooling", {}],
        ["Dense", { out_features: 4 }],
      ],
      "2_Dense/config.json: in_features",
    ],
    [
      "a norm of tokens",
      [
        ["Pooling", {}],
        ["Normalize", { module_input_name: "token_embeddings" }],
      ],
      "2_Normalize/config.json: module_input_name",
    ],
  ];
  it.each(unsupported)("refuses %s", async (_, modules, option) => {
    const error = await read(modules).catch((e) => e);
    expect(error).toBeInstanceOf(UnsupportedOptionError);
    expect(error.option).toBe(option);
  });

  it.each<[string, unknown]>([
    ["types of others", [module("evil.Transformer")]],
    ["no type", [{ path: "" }]],
    ["null", [null]],
    ["a number", [7]],
    ["a pooling first", [st("Pooling", "1_Pooling")]],
  ])("refuses a list with %s", async (_, list) => {
    const files = { "modules.json": json(list), "1_Pooling/config.json": json({}) };
    await expect(readSentenceTransformer(folderOf(files))).rejects.toThrow(UnsupportedOptionError);
  });
  it("refuses a list that is none, and paths that lead out", async () => {
    for (const list of [{}, [transformer, st("Pooling", "../1_Pooling")], [transformer, st("Pooling", "/etc")]])
      await expect(readSentenceTransformer(folderOf({ "modules.json": json(list) }))).rejects.toThrow(FormatError);
  });
  it("misses a config", async () => {
    await expect(read([["Pooling"]])).rejects.toThrow(MissingFileError);
    await expect(read([["Pooling", {}], ["Dense"]])).rejects.toThrow("a test has no 2_Dense/config.json");
  });
});

describe("what goes before the transformer", () => {
  it("reads the limits of the tokenizer", async () => {
    const more = { "sentence_bert_config.json": { max_seq_length: 256, do_lower_case: true } };
    expect(await read([["Pooling", {}]], more)).toMatchObject({ max_seq_length: 256, do_lower_case: true });
    expect(await read([], { "sentence_bert_config.json": { max_seq_length: null } })).toMatchObject({
      max_seq_length: undefined,
    });
    for (const bad of [{ max_seq_length: -1 }, { max_seq_length: "9" }, { do_lower_case: 1 }])
      await expect(read([], { "sentence_bert_config.json": bad })).rejects.toThrow(UnsupportedOptionError);
  });
  it("finds them where the oldest versions left them", async () => {
    const opened: string[] = [];
    const files = {
      "modules.json": json([transformer]),
      "sentence_xlm-roberta_config.json": json({ max_seq_length: 7 }),
    };
    const found = await readSentenceTransformer(folderOf(files, opened), { model_type: "xlm-roberta" });
    expect(found!.max_seq_length).toBe(7);
    await readSentenceTransformer(folderOf(files, opened), { model_type: "../../etc/x" });
    expect(opened.every((path) => !path.includes(".."))).toBe(true);
  });
  it("reads prompts", async () => {
    const prompts = { query: "query: ", passage: "", none: null, __proto__x: "p" };
    const all = await read([], { "config_sentence_transformers.json": { prompts, default_prompt_name: "query" } });
    expect([...all!.prompts]).toEqual([
      ["query", "query: "],
      ["passage", ""],
      ["none", ""],
      ["__proto__x", "p"],
    ]);
    expect(all!.default_prompt_name).toBe("query");
    const none = await read([], { "config_sentence_transformers.json": { prompts: {}, default_prompt_name: null } });
    expect(none).toMatchObject({ default_prompt_name: undefined });
    for (const bad of [{ prompts: [] }, { prompts: { a: 1 } }, { prompts: { a: "x" }, default_prompt_name: "b" }])
      await expect(read([], { "config_sentence_transformers.json": bad })).rejects.toThrow(UnsupportedOptionError);
  });
});

const shared = new URL("../../../shared/models/", import.meta.url);
describe.skipIf(!existsSync(shared))("real folders (skipped where ../shared is not there)", () => {
  const at = (name: string) => {
    const files: Record<string, Uint8Array> = {};
    for (const path of readdirSync(new URL(`${name}/`, shared), { recursive: true }) as string[])
      if (path.endsWith(".json") && !path.includes("token"))
        files[path] = readFileSync(new URL(`${name}/${path}`, shared));
    return readSentenceTransformer(folderOf(files));
  };
  const normalize = { type: "normalize" };
  it("all-MiniLM-L6-v2", async () => {
    expect(await at("all-MiniLM-L6-v2")).toMatchObject({ prefix: "", max_seq_length: 256, modules: [mean, normalize] });
  });
  it("default-embedder", async () => {
    const dense = { type: "dense", prefix: "2_Dense/", in: 256, out: 384, bias: true, activation: "identity" };
    expect(await at("default-embedder")).toMatchObject({ max_seq_length: 256, modules: [mean, dense, normalize] });
  });
});
