import { describe, expect, test } from "vitest";
import { Tokenizer } from "../../src/format/tokenizer.ts";
import { type Expected, fixture, KINDS, pairs, shown, texts } from "./fixtures.ts";

/**
 * Where the oracle and we part ways: with TemplateProcessing, transformers gives the tokens of a text in all windows but the first
 * the type 0 or 1 of their sequence, whatever type_id the template says. We give every window what the template says.
 */
const OVERFLOW = ["unigram-xlmr", "unigram-t5", "unigram-nfkc"];

describe.each(KINDS)("%s", async (name) => {
  const { json, data } = fixture(name);
  if (!json) return void test.skip("its tokenizer.json is not here (models/default-embedder)");
  const tokenizer = await Tokenizer.load(json, data.config);

  test("ids, offsets and words of each text are those of transformers", () => {
    texts.forEach((text, i) => {
      const [ids, offsets, , , , words] = shown(tokenizer.encode(text), [text]);
      expect([ids, offsets, words], JSON.stringify(text)).toEqual(data.single[i]);
    });
  });

  test("pairs, truncation and windows are those of transformers", () => {
    for (const { pair, text, options, windows } of data.pairs) {
      const [a, b] = pair === undefined ? [pairs[text!][1]] : pairs[pair];
      const encode = () => tokenizer.encode(a, { ...options, text_pair: b });
      const what = JSON.stringify([a, b, options]);
      if ("error" in windows) {
        expect(encode, what).toThrow(/cannot cut|no room|no step/);
        continue;
      }
      const first = encode();
      const got = [first, ...(first.overflowing ?? [])].map((e) => shown(e, b === undefined ? [a] : [a, b]));
      const want = options.return_overflowing_tokens ? windows : windows.slice(0, 1);
      // All windows have the types of the first.
      const types = (e: Expected) =>
        e.with(
          2,
          e[3].map((s) => want[0][2][want[0][3].indexOf(s)]),
        ) as Expected;
      expect(got, what).toEqual(OVERFLOW.includes(name) ? want.map(types) : want);
    }
  });

  test("decode gives the text that transformers gives", () => {
    data.decoded.forEach((both, i) => {
      const [ids] = data.single[i];
      expect([tokenizer.decode(ids), tokenizer.decode(ids, { skip_special_tokens: true })]).toEqual(both);
    });
  });
});
