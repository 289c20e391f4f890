import { cpSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  AbortError,
  InputError,
  InputTooLongError,
  TokenOutOfRangeError,
  UnsupportedOptionError,
} from "../../src/errors.ts";
import { Tokenizer } from "../../src/format/tokenizer.ts";
import type { GenerateOptions } from "../../src/generate/options.ts";
import { loadModel, type Model, pack, Tensor } from "../../src/host/node.ts";

const VOCAB = 41;
const folder = (name: string) => fileURLToPath(new URL(`../fixtures/models/${name}`, import.meta.url));
const input_ids = [5, 8, 30, 17];

let model: Model;
beforeAll(async () => {
  model = await loadModel(folder("llama"));
});
afterAll(() => model.dispose());

/** Lets the model say these tokens and no other. */
const say =
  (ids: readonly number[], prompt = input_ids.length): NonNullable<GenerateOptions["logits_processor"]> =>
  (before, x) => {
    x.fill(Number.NEGATIVE_INFINITY);
    x[ids[before.length - prompt]] = 0;
  };

/** Byte-level: 3 … 35 are the characters from "/" on, 36 … 40 the bytes of "é" and "€". */
const letters = (text: string) => Array.from(text, (c) => c.charCodeAt(0) - 44);
const tokenizer = () => {
  const tokens = [
    "<s>",
    "</s>",
    "<pad>",
    ...Array.from({ length: 33 }, (_, i) => String.fromCharCode(47 + i)),
    ..."Ã©âĤ¬",
  ];
  return Tokenizer.load({
    model: { type: "BPE", vocab: Object.fromEntries(tokens.map((t, i) => [t, i])), merges: [] },
    added_tokens: tokens.slice(0, 3).map((content, id) => ({ content, id, special: true })),
    pre_tokenizer: { type: "ByteLevel", add_prefix_space: false },
    decoder: { type: "ByteLevel" },
  });
};

async function streamed(options: GenerateOptions) {
  const all = [];
  for await (const token of model.stream({ input_ids }, options)) all.push(token);
  return all;
}

describe("sequences", () => {
  const prompts = fc.array(fc.array(fc.integer({ min: 3, max: VOCAB - 1 }), { minLength: 1, maxLength: 9 }), {
    minLength: 1,
    maxLength: 4,
  });
  const options = fc.record({
    max_new_tokens: fc.integer({ min: 1, max: 9 }),
    num_beams: fc.constantFrom(1, 1, 3),
    do_sample: fc.boolean(),
    seed: fc.integer({ min: 0, max: 9 }),
    temperature: fc.constantFrom(0.6, 1, 1.8),
    top_p: fc.constantFrom(0.9, 1),
    eos_token_id: fc.constant([2, 7, 11, 19]),
    repetition_penalty: fc.constantFrom(1, 1.3),
    length_penalty: fc.constantFrom(0, 1, 2),
  });

  it("of a batch are what they are alone", async () => {
    await fc.assert(
      fc.asyncProperty(prompts, options, async (rows, options) => {
        const together = await model.generate({ input_ids: rows }, options);
        for (const [i, row] of rows.entries())
          expect(await model.generate({ input_ids: row }, options)).toEqual([together[i]]);
      }),
      { numRuns: 60 },
    );
  });

  it("several of one: the first is the only one's, others differ, and a seed gives the same again", async () => {
    const options = { max_new_tokens: 12, seed: 5, temperature: 1.5 };
    const many = await model.generate({ input_ids: [input_ids, [9]] }, { ...options, num_return_sequences: 3 });
    expect(many.length).toBe(6);
    expect([many[0], many[3]]).toEqual(await model.generate({ input_ids: [input_ids, [9]] }, options));
    expect(new Set(many.slice(0, 3).map(String)).size).toBe(3);
    expect(await model.generate({ input_ids: [input_ids, [9]] }, { ...options, num_return_sequences: 3 })).toEqual(
      many,
    );
    expect(await model.generate({ input_ids: [input_ids, [9]] }, { ...options, seed: 6 })).not.toEqual([
      many[0],
      many[3],
    ]);
  });

  it("of calls at the same time are what they are one after the other", async () => {
    const calls = [{ max_new_tokens: 7 }, { max_new_tokens: 9, seed: 1 }, { max_new_tokens: 5, num_beams: 3 }];
    const alone = [];
    for (const options of calls) alone.push(await model.generate({ input_ids }, options));
    expect(await Promise.all(calls.map((options) => model.generate({ input_ids }, options)))).toEqual(alone);
  });

  it("of drawn beams are as likely as drawing without putting back makes them", async () => {
    const { data } = (await model.forward({ input_ids }, { outputs: ["logits"] })).logits as Tensor;
    const e = Array.from(data.slice(-VOCAB), (x) => Math.exp(x / 1.5));
    const all = e.reduce((a, b) => a + b);
    const p = e.map((x) => x / all);
    // Two beams end at once: the better of the first two that are drawn is given.
    const want = p.map((a, i) =>
      p.reduce((sum, b, j) => (i !== j && b <= a ? sum + (a * b) / (1 - a) + (a * b) / (1 - b) : sum), 0),
    );
    const n = 3000;
    const seen = new Array<number>(VOCAB).fill(0);
    const options = { max_new_tokens: 1, num_beams: 2, temperature: 1.5, top_k: 0, do_sample: true };
    for (let seed = 0; seed < n; seed++) seen[(await model.generate({ input_ids }, { ...options, seed }))[0][4]]++;
    // Tokens that are rarely seen count together.
    const often = [...want.keys()].filter((i) => want[i] * n >= 8);
    const rest = (of: readonly number[]) => of.reduce((a, b) => a + b) - often.reduce((a, i) => a + of[i], 0);
    const far = often.reduce((sum, i) => sum + (seen[i] - n * want[i]) ** 2 / (n * want[i]), 0);
    const total = far + (rest(seen) - n * rest(want)) ** 2 / Math.max(1, n * rest(want));
    // Chi-squared, passed once in a thousand times; these draws are always the same.
    expect(often.length).toBeGreaterThan(5);
    expect(total).toBeLessThan(often.length + 3.1 * Math.sqrt(2 * often.length) + 6);
  });

  it("padding on the left changes nothing, with a mask or by pad_token_id", async () => {
    const [plain] = await model.generate({ input_ids }, { max_new_tokens: 6 });
    const left = [0, 0, ...input_ids];
    const mask = left.map((id) => +(id > 0));
    for (const inputs of [{ input_ids: left }, { input_ids: left, attention_mask: mask }])
      expect(await model.generate(inputs, { max_new_tokens: 6 })).toEqual([[0, 0, ...plain]]);
  });

  it("no token asked for, none made", async () => {
    expect(await model.generate({ input_ids: [input_ids, [9]] }, { max_new_tokens: 0 })).toEqual([input_ids, [9]]);
    expect(await streamed({ max_new_tokens: 0 })).toEqual([]);
  });
});

describe("stream", () => {
  it("gives what generate gives, and the model's own log probabilities", async () => {
    for (const options of [
      { max_new_tokens: 9 },
      { max_new_tokens: 9, seed: 2, temperature: 1.4, repetition_penalty: 2 },
    ]) {
      const [ids] = await model.generate({ input_ids }, options);
      const made = await streamed(options);
      expect([...input_ids, ...made.map(({ id }) => id)]).toEqual(ids);
      const { data } = (await model.forward({ input_ids: ids }, { outputs: ["logits"] })).logits as Tensor;
      for (const [i, { id, logprob, text }] of made.entries()) {
        const row = Array.from(data.slice((input_ids.length - 1 + i) * VOCAB, (input_ids.length + i) * VOCAB));
        const sum = Math.log(row.reduce((n, v) => n + Math.exp(v), 0));
        expect(logprob).toBeCloseTo(row[id] - sum, 5);
        expect(text).toBe("");
      }
    }
  });

  it("never splits a character, and leaves special tokens out", async () => {
    const ids = [...letters("AB"), 36, 37, 38, 39, 40, 1, ...letters("?"), 38, 39];
    const options = { max_new_tokens: ids.length, tokenizer: await tokenizer(), logits_processor: say(ids) };
    const texts = (await streamed({ ...options, eos_token_id: null })).map(({ text }) => text);
    expect(texts).toEqual(["A", "B", "", "é", "", "", "€", "", "?", "", "\ufffd"]);
  });

  it("stops at several ends, and at texts, wherever the last token ends", async () => {
    const made = async (ids: number[], more: GenerateOptions) => {
      const options = { max_new_tokens: ids.length, tokenizer: await tokenizer(), ...more };
      const [got] = await model.generate({ input_ids }, { ...options, logits_processor: say(ids) });
      expect((await streamed({ ...options, logits_processor: say(ids) })).map(({ id }) => id)).toEqual(got.slice(4));
      return got.slice(4);
    };
    const ids = letters("ABCDEF");
    expect(await made(ids, { eos_token_id: letters("DB") })).toEqual(letters("AB"));
    expect(await made(ids, { stop_strings: ["CD", "ABX"] })).toEqual(letters("ABCD"));
    expect(await made(ids, { stop_strings: "F" })).toEqual(ids);
    expect(await made([...letters("A"), 38, 39, 40, ...letters("B")], { stop_strings: "A€" })).toEqual([
      ...letters("A"),
      38,
      39,
      40,
    ]);
    // The prompt's end and the first token may make one together.
    expect(await made(ids, { stop_strings: "=A" })).toEqual(letters("A"));
    await expect(model.generate({ input_ids }, { stop_strings: "A" })).rejects.toThrow(InputError);
  });

  it("frees its state when it is left or aborted, and the engine goes on", async () => {
    const { engine } = model.session;
    const top = async () => {
      await model.forward({ input_ids });
      return engine.top;
    };
    const before = await top();
    for await (const _ of model.stream({ input_ids }, { max_new_tokens: 9 })) break;
    expect(await top()).toBe(before);
    const aborter = new AbortController();
    const seen: number[] = [];
    const run = async () => {
      for await (const { id } of model.stream({ input_ids }, { max_new_tokens: 20, signal: aborter.signal })) {
        seen.push(id);
        if (seen.length === 3) aborter.abort("enough");
      }
    };
    const failed = await run().catch((e: unknown) => e);
    expect(failed).toBeInstanceOf(AbortError);
    expect((failed as AbortError).cause).toBe("enough");
    expect(seen.length).toBe(3);
    expect(await top()).toBe(before);
    const late = model.generate({ input_ids }, { max_new_tokens: 28, num_beams: 4, signal: AbortSignal.timeout(1) });
    await late.catch((e) => expect(e).toBeInstanceOf(AbortError));
    expect(await top()).toBe(before);
    expect((await model.generate({ input_ids }, { max_new_tokens: 3 }))[0].slice(4)).toEqual(seen);
  });

  it("lets the event loop have its turn between tokens", async () => {
    const mistral = await loadModel(folder("mistral"));
    const aborter = new AbortController();
    setTimeout(() => aborter.abort(), 5);
    const options = { max_new_tokens: 100_000, eos_token_id: null, signal: aborter.signal };
    await expect(mistral.generate({ input_ids }, options)).rejects.toThrow(AbortError);
    mistral.dispose();
  });
});

describe("logits_processor", () => {
  it("sees the tokens so far and may take its time", async () => {
    const seen: number[][] = [];
    const logits_processor = async (ids: readonly number[], x: Float32Array) => {
      seen.push([...ids]);
      await new Promise((resolve) => setTimeout(resolve));
      x[13] = 1e3;
    };
    const [ids] = await model.generate({ input_ids }, { max_new_tokens: 3, logits_processor });
    expect(ids).toEqual([...input_ids, 13, 13, 13]);
    expect(seen).toEqual([input_ids, [...input_ids, 13], [...input_ids, 13, 13]]);
  });

  it("that leaves nothing is an error, and so is one that throws; the engine goes on", async () => {
    const nothing = (_: unknown, x: Float32Array) => void x.fill(Number.NEGATIVE_INFINITY);
    for (const num_beams of [1, 2])
      await expect(model.generate({ input_ids }, { num_beams, logits_processor: nothing })).rejects.toThrow(InputError);
    const wrong = () => {
      throw new RangeError("mine");
    };
    await expect(model.generate({ input_ids }, { logits_processor: wrong })).rejects.toThrow("mine");
    expect((await model.generate({ input_ids }, { max_new_tokens: 2 }))[0].length).toBe(6);
  });
});

describe("generation_config.json", () => {
  const made: string[] = [];
  /** A copy of a model with another file, and with fields of the config.json. */
  const withFile = (file?: object, config: object = {}): string => {
    const at = mkdtempSync(join(tmpdir(), "wattention-"));
    made.push(at);
    cpSync(folder("llama"), at, { recursive: true });
    writeFileSync(join(at, "config.json"), JSON.stringify({ ...model.config.raw, ...config }));
    if (file) writeFileSync(join(at, "generation_config.json"), JSON.stringify(file));
    return at;
  };
  afterAll(() => {
    for (const at of made) rmSync(at, { recursive: true, force: true });
  });

  it("counts, unless the call says otherwise; a packed model has it too", async () => {
    const at = withFile({
      max_new_tokens: 3,
      suppress_tokens: [13],
      eos_token_id: [2, 5],
      transformers_version: "5.0.0",
      odd: 1,
    });
    const [plain] = await model.generate(
      { input_ids },
      { max_new_tokens: 3, suppress_tokens: [13], eos_token_id: [2, 5] },
    );
    for (const source of [at, await pack(at, { dtype: "f32" })]) {
      const own = await loadModel(source);
      expect(await own.generate({ input_ids })).toEqual([plain]);
      expect((await own.generate({ input_ids }, { max_new_tokens: 5, eos_token_id: null }))[0].length).toBe(9);
      expect((await own.generate({ input_ids }, { max_length: 8, eos_token_id: null }))[0].length).toBe(8);
      own.dispose();
    }
  });

  it("says what Whisper's decoder begins with, and the call may", async () => {
    const whisper = await loadModel(folder("whisper"));
    const { dims } = { dims: [1, whisper.config.int("num_mel_bins"), 2 * whisper.config.int("max_source_positions")] };
    const data = Float32Array.from({ length: dims[1] * dims[2] }, (_, i) => ((i * 37) % 101) / 50 - 1);
    const inputs = { input_features: new Tensor(data, dims) };
    const options = { max_new_tokens: 2, decoder_start_token_id: 3, eos_token_id: null };
    const forced_decoder_ids = [
      [1, 7],
      [2, 9],
    ] as const;
    expect((await whisper.generate(inputs, { ...options, forced_decoder_ids }))[0].slice(0, 3)).toEqual([3, 7, 9]);
    expect((await whisper.generate(inputs, { ...options, forced_decoder_ids }))[0].length).toBe(5);
    whisper.dispose();
  });

  it("absent, the config.json's old fields count", async () => {
    const own = await loadModel(withFile(undefined, { max_length: 7, eos_token_id: null }));
    expect((await own.generate({ input_ids }))[0].length).toBe(7);
    own.dispose();
    const both = await loadModel(withFile({ max_length: 6 }, { max_length: 7, eos_token_id: null }));
    expect((await both.generate({ input_ids }))[0].length).toBe(6);
    both.dispose();
  });

  it("what it asks for and is not here is refused by name, when generation begins", async () => {
    const own = await loadModel(withFile({ penalty_alpha: 0.6 }));
    await expect(own.generate({ input_ids })).rejects.toThrow(/penalty_alpha/);
    expect((await own.generate({ input_ids }, { penalty_alpha: null } as never))[0].length).toBeGreaterThan(4);
    own.dispose();
  });
});

it("options that are unknown, not here or impossible are named", async () => {
  const refused: [options: object, name: RegExp][] = [
    [{ top_kk: 3 }, /top_kk/],
    [{ num_beam_groups: 2, num_beams: 4 }, /num_beam_groups/],
    [{ guidance_scale: 2 }, /guidance_scale/],
    [{ assistant_model: {} }, /assistant_model/],
    [{ temperature: 0 }, /temperature/],
    [{ top_p: 1.5 }, /top_p/],
    [{ top_k: 2.5 }, /top_k/],
    [{ seed: -1 }, /seed/],
    [{ seed: 0.5 }, /seed/],
    [{ num_return_sequences: 2 }, /num_return_sequences/],
    [{ num_return_sequences: 3, num_beams: 2 }, /num_return_sequences/],
    [{ early_stopping: "always" }, /early_stopping/],
    [{ eos_token_id: "2" }, /eos_token_id/],
    [{ bad_words_ids: [[]] }, /bad_words_ids/],
    [{ sequence_bias: [[1, 2]] }, /sequence_bias/],
    [{ stop_strings: [""] }, /stop_strings/],
  ];
  for (const [options, name] of refused) {
    const error = await model.generate({ input_ids }, options).catch((e: unknown) => e);
    expect(error, String(name)).toBeInstanceOf(UnsupportedOptionError);
    expect((error as Error).message).toMatch(name);
  }
  await expect(streamed({ num_beams: 2 })).rejects.toThrow(/num_beams/);
  const bert = await loadModel(folder("bert"));
  await expect(bert.generate({ input_ids })).rejects.toThrow(UnsupportedOptionError);
  bert.dispose();
});

it("inputs that cannot be are named", async () => {
  await expect(model.generate({ input_ids: [5, VOCAB] })).rejects.toThrow(TokenOutOfRangeError);
  await expect(model.generate({ input_ids: [0, 0] })).rejects.toThrow(InputError);
  await expect(model.generate({ input_ids }, { max_length: 4 })).rejects.toThrow(InputError);
  await expect(model.generate({ input_ids, pixel_values: [] } as never)).rejects.toThrow(/pixel_values/);
  const two = async () => {
    for await (const _ of model.stream({ input_ids: [input_ids, input_ids] })) break;
  };
  await expect(two()).rejects.toThrow(InputError);
  const gpt2 = await loadModel(folder("gpt2"));
  await expect(gpt2.generate({ input_ids: new Array(33).fill(5) })).rejects.toThrow(InputTooLongError);
  await expect(gpt2.generate({ input_ids }, { max_new_tokens: 40, eos_token_id: null })).rejects.toThrow(
    InputTooLongError,
  );
  expect((await gpt2.generate({ input_ids }, { max_new_tokens: 29, eos_token_id: null }))[0].length).toBe(33);
  gpt2.dispose();
});
