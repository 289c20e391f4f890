import { existsSync, readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { UnsupportedOptionError } from "../../src/errors.ts";
import { Config } from "../../src/format/config.ts";

const config = (raw: Record<string, unknown>) => new Config(raw);
const refused = (f: () => unknown) => {
  try {
    f();
  } catch (error) {
    expect(error).toBeInstanceOf(UnsupportedOptionError);
    return error as UnsupportedOptionError;
  }
  throw new Error("no error");
};

describe("int", () => {
  it("takes whole numbers within its range", () => {
    expect(config({ hidden_size: 384 }).int("hidden_size")).toBe(384);
    expect(config({ a: 0 }).int("a", { min: 0 })).toBe(0);
    expect(config({ a: 1 << 20 }).int("a")).toBe(1 << 20);
  });
  it.each([0, -1, 1.5, 2 ** 20 + 1, 1e300, Number.NaN, Number.POSITIVE_INFINITY, "8", true, [8], {}])(
    "refuses %s",
    (value) => {
      const error = refused(() => config({ hidden_size: value }).int("hidden_size"));
      expect(error.option).toBe("config.json: hidden_size");
      expect(error.message).toMatch(/an integer from 1 to 1048576/);
    },
  );
  it("takes the default for what is absent or null, and wants it otherwise", () => {
    expect(config({}).int("a", { default: -1 })).toBe(-1);
    expect(config({ a: null }).int("a", { default: 3 })).toBe(3);
    expect(refused(() => config({ a: null }).int("a")).message).toMatch(/^config.json: a: undefined is not supported/);
  });
  it("takes the first spelling that is there", () => {
    expect(config({ dim: 8 }).int(["hidden_size", "dim"])).toBe(8);
    expect(config({ hidden_size: null, dim: 8 }).int(["hidden_size", "dim"])).toBe(8);
    expect(config({ hidden_size: 4, dim: 8 }).int(["hidden_size", "dim"])).toBe(4);
    expect(refused(() => config({ dim: -8 }).int(["hidden_size", "dim"])).option).toBe("config.json: dim");
    expect(refused(() => config({}).int(["hidden_size", "dim"])).option).toBe("config.json: hidden_size");
  });
});

describe("number, string, bool, strings", () => {
  it("number", () => {
    expect(config({ eps: 1e-12 }).number("eps")).toBe(1e-12);
    for (const value of [-1, Number.NaN, Number.POSITIVE_INFINITY, 1e13, "1", true, []])
      refused(() => config({ eps: value }).number("eps"));
    expect(config({ s: -2.5 }).number("s", { min: -9 })).toBe(-2.5);
  });
  it("string", () => {
    expect(config({ act: "gelu" }).string("act", ["relu", "gelu"])).toBe("gelu");
    expect(config({}).string("act", ["relu"], "relu")).toBe("relu");
    expect(refused(() => config({ act: "swish9" }).string("act", ["relu", "gelu"])).message).toBe(
      'config.json: act: "swish9" is not supported; supported: "relu", "gelu"',
    );
    refused(() => config({ act: ["gelu"] }).string("act"));
  });
  it("bool", () => {
    expect(config({}).bool("b")).toBe(false);
    expect(config({}).bool("b", true)).toBe(true);
    expect(config({ b: false }).bool("b", true)).toBe(false);
    for (const value of [0, 1, "true"]) refused(() => config({ b: value }).bool("b"));
  });
  it("strings", () => {
    expect(config({}).strings("architectures")).toEqual([]);
    expect(config({ architectures: ["BertModel"] }).strings("architectures")).toEqual(["BertModel"]);
    for (const value of ["BertModel", [7], [["x"]], {}]) refused(() => config({ a: value }).strings("a"));
    refused(() => config({ layer_types: ["full", "odd"] }).strings("layer_types", ["full"]));
  });
  it("model_type", () => {
    expect(config({ model_type: "bert" }).model_type).toBe("bert");
    expect(config({}).model_type).toBe("");
    refused(() => config({ model_type: 7 }));
  });
  it("sub", () => {
    const inner = config({ text_config: { hidden_size: -1 } }).sub("text_config");
    expect(refused(() => inner.int("hidden_size")).option).toBe("config.json: text_config: hidden_size");
    expect(config({}).sub("text_config").raw).toEqual({});
    for (const value of [[], 7, "x"]) refused(() => config({ t: value }).sub("t"));
  });
  it("shows huge and deep values shortened", () => {
    let deep: unknown = 1;
    for (let i = 0; i < 1e5; i++) deep = [deep];
    expect(refused(() => config({ a: deep }).int("a")).message.length).toBeLessThan(200);
    expect(refused(() => config({ a: "x".repeat(1e6) }).int("a")).message.length).toBeLessThan(200);
  });
});

describe("labels", () => {
  it("in the order of their ids", () => {
    expect(config({ id2label: { "1": "b", "0": "a" } }).labels()).toEqual(["a", "b"]);
    const many = Object.fromEntries(Array.from({ length: 12 }, (_, i) => [i, `l${i}`]));
    expect(config({ id2label: many }).labels()[10]).toBe("l10");
  });
  it("made up where the config has none", () => {
    expect(config({}).labels()).toEqual(["LABEL_0", "LABEL_1"]);
    expect(config({ num_labels: 3 }).labels()).toEqual(["LABEL_0", "LABEL_1", "LABEL_2"]);
  });
  it.each([[{}], [{ 1: "a" }], [{ 0: "a", 2: "b" }], [{ 0: 7 }], [{ a: "a" }], [{ "00": "a" }], [["a"]], ["a"], [7]])(
    "refuses %j",
    (id2label) => {
      expect(refused(() => config({ id2label }).labels()).option).toBe("config.json: id2label");
    },
  );
  it("refuses an absurd number", () => {
    refused(() => config({ num_labels: 1e9 }).labels());
  });
});

describe("rope", () => {
  const plain = { rope_type: "default", rope_theta: 10000, partial_rotary_factor: 1 };
  it.each<[string, Record<string, unknown>, Parameters<Config["rope"]>, Record<string, unknown>]>([
    ["nothing", {}, [], plain],
    ["transformers 4", { rope_theta: 5e5, rope_scaling: null }, [], { ...plain, rope_theta: 5e5 }],
    [
      "transformers 4, scaled",
      { rope_theta: 5e5, rope_scaling: { type: "linear", factor: 2 } },
      [],
      { ...plain, rope_theta: 5e5, rope_type: "linear" },
    ],
    [
      "transformers 5",
      { rope_parameters: { rope_theta: 1000, rope_type: "llama3" } },
      [],
      { ...plain, rope_theta: 1000, rope_type: "llama3" },
    ],
    [
      "part of a head",
      { rope_parameters: { rope_theta: 1e4, partial_rotary_factor: 0.5 } },
      [],
      { ...plain, partial_rotary_factor: 0.5 },
    ],
    ["part of a head, before", { rotary_pct: 0.25 }, [], { ...plain, partial_rotary_factor: 0.25 }],
    [
      "a layer type",
      {
        rope_parameters: {
          full_attention: { rope_theta: 160000, rope_type: "yarn" },
          sliding_attention: { rope_theta: 7 },
        },
      },
      ["full_attention"],
      { ...plain, rope_theta: 160000, rope_type: "yarn" },
    ],
    [
      "a layer type without its theta",
      { rope_parameters: { full_attention: {} }, global_rope_theta: 160000 },
      ["full_attention", "global_rope_theta"],
      { ...plain, rope_theta: 160000 },
    ],
    [
      "a layer type that is null",
      { rope_parameters: { full_attention: null } },
      ["full_attention", "x", 9],
      { ...plain, rope_theta: 9 },
    ],
    [
      "a layer type before",
      { local_rope_theta: 123 },
      ["sliding_attention", "local_rope_theta"],
      { ...plain, rope_theta: 123 },
    ],
  ])("%s", (_, raw, args, want) => {
    const { more, ...rope } = config(raw).rope(...args);
    expect(rope).toEqual(want);
    expect(more).toBeInstanceOf(Config);
  });
  it("hands on what its type needs", () => {
    const { more } = config({ rope_scaling: { rope_type: "llama3", factor: 8 } }).rope();
    expect(more.number("factor")).toBe(8);
    expect(refused(() => more.number("low_freq_factor")).option).toBe("config.json: rope_scaling: low_freq_factor");
  });
  it.each<[Record<string, unknown>, string]>([
    [{ rope_theta: 0 }, "config.json: rope_theta"],
    [{ rope_theta: -1 }, "config.json: rope_theta"],
    [{ rope_theta: Number.NaN }, "config.json: rope_theta"],
    [{ rope_theta: 1e30 }, "config.json: rope_theta"],
    [{ rope_parameters: [] }, "config.json: rope_parameters"],
    [{ rope_parameters: { rope_theta: "x" } }, "config.json: rope_parameters: rope_theta"],
    [{ rope_parameters: { rope_type: 7 } }, "config.json: rope_parameters: rope_type"],
    [{ rope_parameters: { partial_rotary_factor: 2 } }, "config.json: rope_parameters: partial_rotary_factor"],
  ])("refuses %j", (raw, option) => {
    expect(refused(() => config(raw).rope()).option).toBe(option);
  });
});

// The same config.json files as transformers 5 writes them; the numbers are those it was made with.
const shared = new URL("../../../shared/conformance/models/", import.meta.url);
describe.skipIf(!existsSync(shared))(
  "the configs of the conformance cases (skipped where ../shared is not there)",
  () => {
    const names = existsSync(shared) ? readdirSync(shared) : [];
    it.each(names)("%s", (name) => {
      const raw = JSON.parse(readFileSync(new URL(`${name}/config.json`, shared), "utf8"));
      const c = config(raw);
      expect(c.model_type).toBe(raw.model_type);
      for (const type of raw.layer_types ?? [""]) {
        const want = raw.rope_parameters?.[type] ?? raw.rope_parameters;
        if (want) expect(c.rope(type)).toMatchObject({ rope_theta: want.rope_theta, rope_type: want.rope_type });
      }
      if (raw.id2label) expect(c.labels()).toEqual(Object.keys(raw.id2label).map((i) => raw.id2label[i]));
    });
  },
);
