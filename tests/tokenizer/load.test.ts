import { readFileSync } from "node:fs";
import { build } from "esbuild";
import { beforeAll, describe, expect, test } from "vitest";
import { FormatError, InputError } from "../../src/errors.ts";
import { Tokenizer } from "../../src/format/tokenizer.ts";
import { mutateJson, randomFrom } from "../format/mutate.ts";
import { fixture, KINDS, load } from "./fixtures.ts";

type Json = Record<string, unknown>;
const plain = fixture("wordpiece-cased").json!;
const broken = async (change: Json) => Tokenizer.load({ ...plain, ...change });

describe("a malformed tokenizer.json gives a FormatError that names the fault", () => {
  const model = plain.model as Json;
  const bpe = fixture("bpe-gpt2").json!.model as Json;
  const unigram = fixture("unigram-nfkc").json!.model as { vocab: [string, number][] };
  test.each<[string, Json, RegExp]>([
    ["no model", { model: undefined }, /"model".*no object/],
    ["an unknown model", { model: { ...model, type: "Magic" } }, /model "Magic" is not supported/],
    ["no vocab", { model: { ...model, vocab: undefined } }, /"vocab" of WordPiece/],
    ["no merges", { model: { ...bpe, merges: undefined } }, /"merges" of BPE/],
    ["an id that is none", { model: { ...model, vocab: { a: 0, b: 1.5 } } }, /id of "b" is 1.5/],
    ["a negative id", { model: { ...model, vocab: { a: -1 } } }, /id of "a" is -1/],
    ["subword prefixes in a BPE", { model: { ...bpe, continuing_subword_prefix: "@" } }, /continuing_subword_prefix/],
    ["a piece without a score", { model: { ...unigram, vocab: [["a", 1], ["b"]] } }, /piece 1 of the vocab/],
    ["a vocab that is no list", { model: { ...unigram, vocab: { a: 1 } } }, /model Unigram/],
    ["an unknown normalizer", { normalizer: { type: "Nmt" } }, /normalizer "Nmt" is not supported/],
    ["a normalizer that is no object", { normalizer: 5 }, /normalizer "undefined"/],
    ["a sequence without parts", { normalizer: { type: "Sequence" } }, /normalizer Sequence/],
    ["no content", { normalizer: { type: "Replace", pattern: { String: "a" } } }, /"content" of Replace/],
    ["no pattern", { normalizer: { type: "Replace", content: "" } }, /normalizer Replace/],
    ["an empty pattern", { normalizer: { type: "Replace", content: "", pattern: {} } }, /\{\} is no pattern/],
    ["a bad pattern", { pre_tokenizer: { type: "Split", pattern: { Regex: "(" }, behavior: "Removed" } }, /Split/],
    ["a bad behavior", { pre_tokenizer: { type: "Punctuation", behavior: "Sideways" } }, /"Sideways"/],
    ["a charsmap cut short", { normalizer: { type: "Precompiled", precompiled_charsmap: "////fw==" } }, /charsmap/],
    ["a charsmap that is no base64", { normalizer: { type: "Precompiled", precompiled_charsmap: "%" } }, /Precompiled/],
    ["an unknown pre-tokenizer", { pre_tokenizer: { type: "UnicodeScripts" } }, /"UnicodeScripts" is not supported/],
    ["pieces of no length", { pre_tokenizer: { type: "FixedLength", length: 0 } }, /FixedLength/],
    ["an unknown post-processor", { post_processor: { type: "toString" } }, /"toString" is not supported/],
    ["a missing special token", { post_processor: { type: "BertProcessing", cls: ["[CLS]", 1] } }, /BertProcessing/],
    [
      "a template with an unknown token",
      { post_processor: { type: "TemplateProcessing", single: [{ SpecialToken: { id: "x", type_id: 0 } }], pair: [] } },
      /TemplateProcessing/,
    ],
    ["an unknown decoder", { decoder: { type: "Magic" } }, /Magic/],
    ["an added token without an id", { added_tokens: [{ content: "x" }] }, /added token .*"x"/],
    ["added tokens that are no list", { added_tokens: 7 }, /tokenizer\.json/],
  ])("%s", async (_, change, message) => {
    const error = await broken(change).catch((e) => e);
    expect(error).toBeInstanceOf(FormatError);
    expect(error.message).toMatch(message);
    expect(error.file).toBe("tokenizer.json");
  });

  test.each([null, undefined, 5, "{}", [], {}])("%o in place of the file", async (json) => {
    await expect(Tokenizer.load(json)).rejects.toThrow(FormatError);
  });

  test("what cannot be cut and has no unknown token", async () => {
    const t = await broken({ model: { type: "WordPiece", vocab: { a: 0 } }, post_processor: null });
    expect(t.encode("a").input_ids).toEqual([0]);
    expect(() => t.encode("b")).toThrow(/the vocab lacks "b" and an unknown token/);
  });
});

test("800 mutated files: each a FormatError or a tokenizer that works", async () => {
  const random = randomFrom(7);
  const encoder = new TextEncoder();
  const kinds = KINDS.filter((name) => name !== "bert" && !/unigram-[^n]/.test(name));
  const files = kinds.map((name) => encoder.encode(JSON.stringify({ ...fixture(name).json, version: "1.0" })));
  let right = 0;
  for (let i = 0; i < 800; i++) {
    const { bytes, what } = mutateJson(files[i % files.length], random);
    let json: unknown;
    try {
      json = JSON.parse(new TextDecoder().decode(bytes));
    } catch {
      continue;
    }
    try {
      const tokenizer = await Tokenizer.load(json, {});
      const s = "Hello <mask> wörld, 12 東京 New York\u0301!";
      const e = tokenizer.encode(s, { text_pair: "b", max_length: 20, return_overflowing_tokens: true });
      for (const [from, to] of e.offsets) expect(from >= 0 && from <= to && to <= s.length, what).toBe(true);
      for (const id of e.input_ids) expect(Number.isInteger(id) && id >= 0, what).toBe(true);
      tokenizer.decode(e.input_ids);
      right++;
    } catch (error) {
      if (!(error instanceof FormatError || error instanceof InputError)) throw new Error(what, { cause: error });
    }
  }
  expect(right).toBeGreaterThan(100);
}, 120_000);

describe("special tokens and limits", () => {
  test("come from tokenizer_config.json, as strings or as objects", async () => {
    const t = await Tokenizer.load(plain, {
      mask_token: { content: "[MASK]", lstrip: true },
      pad_token: "[PAD]",
      cls_token: "[NONE]",
      model_max_length: 512,
    });
    expect([t.mask_token, t.mask_token_id, t.pad_token, t.pad_token_id]).toEqual(["[MASK]", 4, "[PAD]", 0]);
    expect([t.cls_token, t.cls_token_id, t.eos_token, t.eos_token_id]).toEqual([
      undefined,
      undefined,
      undefined,
      undefined,
    ]);
    expect(t.model_max_length).toBe(512);
    expect([t.token(4), t.id("[MASK]"), t.token(1e9), t.id("no such token")]).toEqual([
      "[MASK]",
      4,
      undefined,
      undefined,
    ]);
  });

  test("or, where it names none, are the usual ones", async () => {
    const t = await Tokenizer.load(plain, { model_max_length: 1e30 });
    expect([t.mask_token_id, t.cls_token_id, t.sep_token_id, t.pad_token_id, t.unk_token_id]).toEqual([4, 2, 3, 0, 1]);
    expect([t.bos_token, t.model_max_length]).toEqual([undefined, undefined]);
    const roberta = await Tokenizer.load(fixture("bpe-roberta").json);
    const { bos_token, eos_token, cls_token, sep_token, mask_token, pad_token, unk_token } = roberta;
    expect([bos_token, eos_token, cls_token, sep_token]).toEqual(["<s>", "</s>", "<s>", "</s>"]);
    expect([mask_token, pad_token, unk_token]).toEqual(["<mask>", "<pad>", "<unk>"]);
  });

  test("a token that the config names is found in a text even if tokenizer.json does not list it", async () => {
    const t = await Tokenizer.load({ ...plain, added_tokens: [] }, { mask_token: "[MASK]" });
    expect(t.encode("a [MASK] b").tokens).toContain("[MASK]");
    expect(t.decode(t.encode("a [MASK]").input_ids, { skip_special_tokens: true })).not.toContain("[MASK]");
  });
});

describe("calls", () => {
  let tokenizer: Tokenizer;
  beforeAll(async () => {
    tokenizer = await load("wordpiece-cased");
  });

  test("the file's own truncation and padding are not used", async () => {
    const truncation = { max_length: 4, strategy: "LongestFirst", stride: 0, direction: "Right" };
    const padding = { strategy: { Fixed: 64 }, direction: "Right", pad_id: 0, pad_type_id: 0, pad_token: "[PAD]" };
    const t = await broken({ truncation, padding });
    expect(t.encode("the keeper counts").input_ids).toEqual(tokenizer.encode("the keeper counts").input_ids);
  });

  test("max_length alone truncates; truncation alone uses model_max_length, or nothing without one", async () => {
    const s = "the keeper counts the ships";
    const whole = tokenizer.encode(s).input_ids;
    expect(tokenizer.encode(s, { max_length: 5 }).input_ids).toHaveLength(5);
    expect(tokenizer.encode(s, { max_length: 5, truncation: false }).input_ids).toEqual(whole);
    expect(tokenizer.encode(s, { truncation: true }).input_ids).toEqual(whole);
    const limited = await Tokenizer.load(plain, { model_max_length: 6 });
    expect(limited.encode(s, { truncation: true }).input_ids).toHaveLength(6);
    expect(limited.encode(s).input_ids).toEqual(whole);
    const left = await Tokenizer.load(plain, { truncation_side: "left" });
    expect(left.encode(s, { max_length: 5 }).input_ids.slice(1)).toEqual(whole.slice(-4));
  });

  test("windows are those of encode with only_second and a stride", () => {
    const context = "the keeper counts the ships that pass before midnight and writes their names into a book";
    const options = { max_length: 20, stride: 4 };
    const { overflowing, ...first } = tokenizer.encode("who counts?", {
      ...options,
      text_pair: context,
      truncation: "only_second",
      return_overflowing_tokens: true,
    });
    const windows = tokenizer.windows("who counts?", context, options);
    expect(windows.length).toBeGreaterThan(2);
    expect(windows).toEqual([first, ...overflowing!]);
  });

  test("what makes no sense is an InputError", () => {
    const long = "the keeper counts the ships";
    expect(() => tokenizer.encode(5 as never)).toThrow(InputError);
    expect(() => tokenizer.encode("a", { max_length: 1 })).toThrow(/no room/);
    expect(() => tokenizer.encode("a", { max_length: Number.NaN })).toThrow(/no room/);
    expect(() => tokenizer.encode(long, { max_length: 5, stride: 3 })).toThrow(/no step/);
    expect(() => tokenizer.encode(long, { max_length: 5, truncation: "only_second" })).toThrow(/cannot cut/);
    expect(() => tokenizer.encode(long, { max_length: 5, truncation: "some" as never })).toThrow(/"some" is not known/);
    expect(() => tokenizer.windows(long, long, { max_length: 5 })).toThrow(InputError);
  });

  test("decode leaves out ids that are none", () => {
    expect(tokenizer.decode([])).toBe("");
    expect(tokenizer.decode([1e6, -1, 0.5, Number.NaN])).toBe("");
    expect(tokenizer.decode(new Int32Array([2, 3]))).toBe("[CLS] [SEP]");
  });
});

test("a bundle of the tokenizer has what prepares one in a file of its own", async () => {
  const { metafile } = await build({
    entryPoints: [new URL("../../src/format/tokenizer.ts", import.meta.url).pathname],
    bundle: true,
    splitting: true,
    format: "esm",
    outdir: "out",
    write: false,
    metafile: true,
  });
  const output = Object.values(metafile.outputs).find((o) => o.entryPoint?.endsWith("tokenizer.ts"))!;
  expect(Object.keys(output.inputs).filter((path) => /prepare\.ts|pattern\.ts/.test(path))).toEqual([]);
});

test("a stride that is no whole number below the window is refused, not looped over", async () => {
  const tokenizer = await Tokenizer.load(
    JSON.parse(readFileSync(new URL("../../models/default-embedder/tokenizer.json", import.meta.url), "utf8")),
  );
  for (const stride of [Number.NaN, -1, 1.5, 8, Number.POSITIVE_INFINITY])
    expect(() =>
      tokenizer.encode("one two three four five six seven eight nine ten", {
        max_length: 8,
        truncation: true,
        stride,
        return_overflowing_tokens: true,
      }),
    ).toThrow(/stride/);
});
