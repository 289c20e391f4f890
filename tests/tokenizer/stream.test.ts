import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Tokenizer } from "../../src/format/tokenizer.ts";
import { fixture, KINDS, texts } from "./fixtures.ts";

/** Joined pieces, and that none ends within a character that a later id finished. */
function streamed(tokenizer: Tokenizer, ids: readonly number[], options: Parameters<Tokenizer["stream"]>[0]): string {
  const stream = tokenizer.stream(options);
  return ids.map((id) => stream.push(id)).join("") + stream.end();
}

describe.each(KINDS)("%s", async (name) => {
  const { json, data } = fixture(name);
  if (!json) return void test.skip("its tokenizer.json is not here (models/default-embedder)");
  const tokenizer = await Tokenizer.load(json, data.config);
  const every = [true, false].flatMap((skip_special_tokens) =>
    [true, false].map((clean_up_tokenization_spaces) => ({ skip_special_tokens, clean_up_tokenization_spaces })),
  );

  test("text that comes piece by piece is the text of all ids", () => {
    for (const [i, options] of every.entries())
      for (const text of [...texts.filter((_, at) => at % 4 === i), texts.slice(40, 70).join(" ")]) {
        const { input_ids } = tokenizer.encode(text);
        expect(streamed(tokenizer, input_ids, options)).toBe(tokenizer.decode(input_ids, options));
      }
  });

  test("so are ids that no text has: halves of characters, special tokens, ids without a token", () => {
    const size = tokenizer.encode(texts.join("")).input_ids.reduce((a, b) => Math.max(a, b), 300) + 3;
    const ids = fc.array(fc.oneof(fc.nat(size), fc.nat(Math.min(size, 300))), { maxLength: 120 });
    fc.assert(
      fc.property(ids, fc.constantFrom(...every), (ids, options) => {
        expect(streamed(tokenizer, ids, options)).toBe(tokenizer.decode(ids, options));
      }),
      { numRuns: 100, seed: 1 },
    );
  });
});

test("contractions and punctuation are cleaned up across pieces", async () => {
  const words = [..."' n t s m . , ? ! a b ve re n't 's 'm 've 're".split(" "), "", " "];
  const vocab = Object.fromEntries(words.map((word, id) => [word, id]));
  const tokenizer = await Tokenizer.load(
    { model: { type: "WordLevel", vocab, unk_token: "a" }, decoder: null },
    { clean_up_tokenization_spaces: true },
  );
  const ids = fc.array(fc.nat(words.length - 1), { maxLength: 60 });
  fc.assert(
    fc.property(ids, (ids) => {
      expect(streamed(tokenizer, ids, {})).toBe(tokenizer.decode(ids));
    }),
    { numRuns: 3000, seed: 2 },
  );
});

test("a sure text does not wait for the next token", async () => {
  const { json, data } = fixture("bpe-gpt2");
  const tokenizer = await Tokenizer.load(json, data.config);
  const stream = tokenizer.stream();
  const { input_ids } = tokenizer.encode("the keeper 😀 counts");
  const pieces = input_ids.map((id) => stream.push(id));
  expect(pieces.filter((piece) => piece.includes("\ufffd"))).toEqual([]);
  expect(stream.end()).toBe("");
  expect(pieces.join("")).toBe("the keeper 😀 counts");
  expect(pieces[0]).not.toBe("");
});
