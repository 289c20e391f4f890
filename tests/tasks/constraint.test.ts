import Ajv from "ajv/dist/2020.js";
import fc from "fast-check";
import { describe, expect, test } from "vitest";
import { UnsupportedOptionError } from "../../src/errors.ts";
import { Tokenizer } from "../../src/format/tokenizer.ts";
import { Automaton, DEAD, utf8Ranges } from "../../src/tasks/constraint/automaton.ts";
import { Constraint, expressionOf } from "../../src/tasks/constraint/constraint.ts";
import { parseRegex } from "../../src/tasks/constraint/regex.ts";
import type { JsonSchema } from "../../src/tasks/constraint/schema.ts";
import { fixture } from "../tokenizer/fixtures.ts";

const utf8 = new TextEncoder();

function matches(automaton: Automaton, text: string): boolean {
  let state = 0;
  for (const byte of utf8.encode(text)) {
    state = automaton.step(state, byte);
    if (state === DEAD) return false;
  }
  return automaton.ends(state);
}

const PATTERNS = [
  ...[
    "a",
    "ab|cd|",
    "a*b+c?",
    "(ab)*",
    "(?:a|b){2,3}c",
    "[a-c]+",
    "[^a-c]",
    ".",
    "a.b",
    "\\d+\\.\\d{2}",
    "\\w+@\\w+",
    "\\s",
    "[\\s\\S]",
    "^abc$",
    "^a|b$",
    "(a*)*",
    "(a|b)*abb",
    "x{0}y",
    "x{2,}",
    "a??b",
  ],
  ...["[\\d-]+", "[-a]", "[a\\]]+", "\\u00e9|\\x41|\\u{1F600}", "[é-ÿ]", "[\\u{10000}-\\u{10ffff}]", "[^\\x00-\\x7f]+", "\\\\|\\/|\\.", "(?<year>\\d{4})-(\\d\\d)", "\\D\\W\\S", "[à-𐍈]{1,2}", "(|a)b", "([ab]|c[de]){1,3}"], // biome-ignore format: a table
];

describe("regular expressions", () => {
  test.each(PATTERNS)("%s takes what the engine's takes", (source) => {
    const automaton = new Automaton(parseRegex(source));
    const wanted = new RegExp(`^(?:${source})$`, "u");
    // fast-check tries the characters of a class one by one: of a large one that takes minutes.
    const own = /\\x00|u\{1/.test(source) ? "[¡-ÿ]{1,3}" : source.replace(/^\^|\$$/g, "");
    const texts = fc.oneof(
      fc.stringMatching(new RegExp(`^(?:${own})$`, "u")),
      fc.string({ unit: fc.constantFrom(..."abcdexy012.@- é\n\\/𐍈😀~€"), maxLength: 8 }),
      fc.string({ unit: "binary", maxLength: 3 }),
    );
    fc.assert(
      fc.property(texts, (text) => {
        if (!text.isWellFormed()) return;
        expect(matches(automaton, text), JSON.stringify(text)).toBe(wanted.test(text));
      }),
      { numRuns: 300, seed: 1 },
    );
  });

  test.each([
    "(?=a)",
    "(?!a)",
    "(?<=a)",
    "\\1",
    "\\bword",
    "a**",
    "(",
    ")",
    "[a",
    "a{3,2}",
    "*",
    "\\p{L}",
    "a^b",
    "[z-a]",
    "(?i:a)",
  ])("%s is refused", (source) => {
    expect(() => new Automaton(parseRegex(source))).toThrow(UnsupportedOptionError);
  });

  test("UTF-8 ranges hold each code point once", () => {
    const range = fc.tuple(fc.nat(0x10ffff), fc.nat(0x10ffff)).map(([a, b]) => [Math.min(a, b), Math.max(a, b)]);
    fc.assert(
      fc.property(range, fc.nat(0x10ffff), ([from, to], point) => {
        const sequences = utf8Ranges(from, to);
        for (const one of [point, from, to, from - 1, to + 1]) {
          if (one < 0 || one > 0x10ffff || (one >= 0xd800 && one < 0xe000)) continue;
          const bytes = utf8.encode(String.fromCodePoint(one));
          const found = sequences.filter(
            (s) => s.length === bytes.length && s.every(([a, b], i) => a <= bytes[i] && bytes[i] <= b),
          );
          expect(found.length).toBe(one >= from && one <= to ? 1 : 0);
        }
      }),
      { numRuns: 2000, seed: 3 },
    );
  });
});

/** A text of tokens drawn at random among those that a constraint leaves, and the ids. */
function drawn(constraint: Constraint, size: number, end: number, next: () => number, left: number): number[] {
  const ids: number[] = [];
  for (; left > 0; left--) {
    const scores = Float32Array.from({ length: size }, next);
    constraint.mask(ids, scores, [end], left);
    const best = scores.reduce((best, score, id) => (score > scores[best] ? id : best), 0);
    expect(scores[best]).toBeGreaterThan(Number.NEGATIVE_INFINITY);
    if (best === end) return ids;
    ids.push(best);
  }
  return ids;
}

const byte = (n: number) => `<0x${n.toString(16).toUpperCase().padStart(2, "0")}>`;
const words =
  'the a name {" ": , ": " ▁" ▁{ ▁[ ▁true ▁12 ["  true null 1 2 12 0.5 -1 é 😀 zoë \\" \\u00 e+ "} }, "]} ":"'
    .split(" ")
    .filter(Boolean);

/** Vocabularies of each kind in which every byte can be written. */
async function vocabularies(): Promise<{
  [name: string]: { tokenizer: Tokenizer; size: number; end: number; begins: boolean };
}> {
  const { json, data } = fixture("bpe-gpt2");
  const gpt2 = await Tokenizer.load(json, data.config);
  const llama = [...Array.from({ length: 256 }, (_, i) => byte(i)), ...new Set(["▁", ...words])];
  const vocab = Object.fromEntries(llama.map((token, id) => [token, id]));
  const decoder = {
    type: "Sequence",
    decoders: [
      { type: "Replace", pattern: { String: "▁" }, content: " " },
      { type: "ByteFallback" },
      { type: "Fuse" },
      { type: "Strip", content: " ", start: 1, stop: 0 },
    ],
  };
  const added_tokens = [{ id: llama.length, content: "</s>", special: true }];
  const fallback = await Tokenizer.load({
    model: { type: "BPE", vocab, merges: [], byte_fallback: true },
    decoder,
    added_tokens,
  });
  const size = llama.length + 1;
  return {
    "byte-level": { tokenizer: gpt2, size: 2000, end: gpt2.id("<|endoftext|>")!, begins: false },
    "byte fallback": { tokenizer: fallback, size, end: llama.length, begins: false },
    "byte fallback, at a text's beginning": { tokenizer: fallback, size, end: llama.length, begins: true },
  };
}

const SCHEMAS: { readonly [name: string]: JsonSchema } = {
  person: {
    type: "object",
    properties: { name: { type: "string", minLength: 1, maxLength: 8 }, age: { type: "integer", minimum: 0, maximum: 150 }, "e-mail": { type: ["string", "null"] } },
    required: ["name", "age"],
    additionalProperties: false,
  },
  optional: { type: "object", properties: { a: { type: "boolean" }, b: { const: "x\"y" }, c: { enum: [1, "two", null, [3], { d: 4 }] } } },
  lists: { type: "array", items: { type: "array", items: { type: "number" }, maxItems: 2 }, minItems: 1, maxItems: 3 },
  tuple: { type: "array", prefixItems: [{ type: "string", maxLength: 2 }, { type: "integer" }], items: false, minItems: 2, maxItems: 2 },
  references: { $defs: { "a/b": { type: "string", pattern: "^[a-c\"\\\\]{1,3}$" } }, type: "object", properties: { x: { $ref: "#/$defs/a~1b" }, y: { anyOf: [{ $ref: "#/$defs/a~1b" }, { type: "null" }] } }, required: ["x", "y"] },
  search: { type: "string", pattern: "b\\d" },
  map: { type: "object", additionalProperties: { type: "integer", minimum: -7, maximum: 12 } },
  anything: {},
  object: { type: "object" },
  dates: { type: "array", items: { anyOf: [{ type: "string", format: "date-time" }, { type: "string", format: "uuid" }, { type: "string", format: "ipv4" }] }, minItems: 2, maxItems: 2 },
  either: { oneOf: [{ type: "string" }, { type: "integer", exclusiveMinimum: 99, exclusiveMaximum: 1005 }] },
  large: { type: "integer", minimum: 987 },
  small: { type: "integer", maximum: -45 },
}; // biome-ignore format: a table

const FORMATS = {
  "date-time": (s: string) => !Number.isNaN(Date.parse(s)),
  uuid: /^[\da-f]{8}(-[\da-f]{4}){3}-[\da-f]{12}$/,
  ipv4: /^((25[0-5]|2[0-4]\d|1?\d?\d)(\.|$)){4}$/,
};

describe("JSON Schemas", async () => {
  const all = await vocabularies();
  const seeds = Array.from({ length: 9 }, (_, i) => i + 1);

  describe.each(Object.entries(all))("%s", (_, { tokenizer, size, end, begins }) => {
    test.each(Object.entries(SCHEMAS))("%s: every text parses and validates, however short", (_, schema) => {
      const response_format = { type: "json_schema", json_schema: { schema } } as const;
      const constraint = new Constraint(tokenizer, expressionOf({ response_format })!, begins);
      const validate = new Ajv({ strict: false, formats: FORMATS }).compile(schema as object);
      for (const seed of seeds) {
        const next = random(seed);
        const ids = drawn(constraint, size, end, next, seed % 3 ? 90 + seed : 600);
        const text = begins ? tokenizer.decode(ids) : behind(tokenizer, ids);
        const value = JSON.parse(text);
        expect(validate(value), `${text} ${JSON.stringify(validate.errors)}`).toBe(true);
      }
    });
  });

  test.each([
    [{ type: "object", properties: { a: { multipleOf: 2, type: "number" } } }, "/properties/a/multipleOf"],
    [{ type: "string", format: "hostname" }, "/format"],
    [{ $defs: { t: { type: "array", items: { $ref: "#/$defs/t" } } }, $ref: "#/$defs/t" }, "recursion"],
    [{ not: { type: "string" } }, "/not"],
    [{ type: "array", uniqueItems: true }, "/uniqueItems"],
    [{ allOf: [{}, {}] }, "/allOf"],
    [{ oneOf: [{ type: "integer" }, { type: "number" }] }, "/oneOf"],
    [{ type: "text" }, "/type"],
    [{ $ref: "https://example.com/schema" }, "/$ref"],
    [{ type: "object", properties: {}, patternProperties: {} }, "/patternProperties"],
    [false, "false"],
  ])("%j is refused by its name", (schema, name) => {
    const response_format = { type: "json_schema", json_schema: schema as JsonSchema } as const;
    expect(() => expressionOf({ response_format })).toThrow(UnsupportedOptionError);
    expect(() => expressionOf({ response_format })).toThrow(name);
  });
});

/** What ids add to a text that stands before them. */
function behind(tokenizer: Tokenizer, ids: readonly number[]): string {
  const before = tokenizer.encode("a name").input_ids;
  return tokenizer.decode([...before, ...ids]).slice(tokenizer.decode(before).length);
}

/** mulberry32 */
function random(seed: number): () => number {
  let a = seed;
  return () => {
    a = (a + 0x6d2b79f5) | 0;
    let t = Math.imul(a ^ (a >>> 15), 1 | a);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

describe("regular expressions over tokens", async () => {
  const all = await vocabularies();
  test.each(Object.entries(all))("%s: the text matches", (_, { tokenizer, size, end, begins }) => {
    for (const regex of [/(yes|no)( [a-zé]{2,9}){0,3}\./, /[^x]{5,40}x/u, /"(\\.|[^"\\]){3,}"/, "😀+é?"]) {
      const constraint = new Constraint(tokenizer, expressionOf({ regex })!, begins);
      const wanted = new RegExp(`^(?:${typeof regex === "string" ? regex : regex.source})$`, "u");
      for (let seed = 1; seed < 12; seed++) {
        const ids = drawn(constraint, size, end, random(seed), 60);
        expect(begins ? tokenizer.decode(ids) : behind(tokenizer, ids)).toMatch(wanted);
      }
    }
  });
});
