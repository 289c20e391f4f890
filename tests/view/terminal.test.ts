import { readFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ShapeError } from "../../src/errors.ts";
import { Tensor } from "../../src/tensor.ts";
import { attentionText } from "../../src/view/terminal.ts";
import { clip, plain, width } from "../../src/view/text.ts";
import { hostile, UNSAFE } from "./hostile.ts";

const ANSI = /\x1b\[(?:0|48;5;\d+)m/g;

describe("attentionText", () => {
  const matrix = new Tensor(Float32Array.from([0, 0.5, 1, 0.25, 0.75, 0]), [2, 3]);
  const labels = { rows: ["a", "bc"], columns: ["x", "yz", "猫"] };

  it("draws names downwards, cells two columns wide and the largest value", () => {
    expect(attentionText(matrix, labels).split("\n")).toEqual([
      "     y   ",
      "   x z 猫",
      " a   ▒▒██",
      "bc ░░▓▓  ",
      "0  ░▒▓█ 1",
    ]);
  });

  it("colours each cell by its share of the largest value and resets at the end of a line", () => {
    const lines = attentionText(matrix, labels, { color: true }).split("\n").slice(2);
    const codes = lines.map((line) => [...line.matchAll(/\x1b\[48;5;(\d+)m {1,2}/g)].map((m) => +m[1]));
    const ramp = codes[2];
    expect(codes[0]).toEqual([ramp[0], ramp[6], ramp[12]]);
    expect(codes[1]).toEqual([ramp[3], ramp[9], ramp[0]]);
    for (const line of lines) expect(line.lastIndexOf("\x1b[0m")).toBeGreaterThan(line.lastIndexOf("\x1b[48"));
    expect(attentionText(matrix, labels, { color: true }).replace(ANSI, "").split("\n")[2]).toBe(" a       ");
  });

  it("leaves out columns that do not fit and says so", () => {
    const T = 100;
    const tokens = Array.from({ length: T }, (_, i) => `t${i}`);
    const lines = attentionText(new Tensor(new Float32Array(T * T).fill(0.01), [T, T]), tokens, { width: 40 }).split(
      "\n",
    );
    expect(lines.at(-1)).toBe("… 18 of 100 columns");
    expect(lines.filter((line) => /^ *t\d+ █+$/.test(line))).toHaveLength(T);
    for (const line of lines) expect(line.length).toBeLessThanOrEqual(40);
  });

  it("never sends a control character of a label, and keeps to the width", { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(
        fc.array(hostile, { minLength: 1, maxLength: 8 }),
        fc.integer({ min: 24, max: 60 }),
        fc.boolean(),
        (tokens, limit, color) => {
          const T = tokens.length;
          const uniform = new Tensor(new Float32Array(T * T).fill(1 / T), [T, T]);
          const text = attentionText(uniform, tokens, { width: limit, color }).replace(color ? ANSI : /$^/, "");
          expect(text).not.toMatch(UNSAFE);
          const lines = text.split("\n");
          for (const line of lines) expect(width(line)).toBeLessThanOrEqual(limit);
          const indent = Math.max(...tokens.map((token) => width(clip(token, 16))));
          const shown = Math.min(T, Math.floor((limit - indent - 1) / 2));
          const rows = lines.slice(0, shown < T ? -2 : -1).slice(-T);
          for (const row of rows) expect(width(row)).toBe(indent + 1 + 2 * shown);
          if (!color) for (const row of rows) expect(row.endsWith(` ${"██".repeat(shown)}`)).toBe(true);
        },
      ),
    );
  });

  it("keeps wide names aligned", () => {
    const tokens = ["▁日本", "🐈", "👩‍👩‍👧", "é", "🇩🇪x", "한국", "[SEP]"];
    const lines = attentionText(new Tensor(new Float32Array(49).fill(1), [7, 7]), tokens).split("\n");
    expect(lines).toHaveLength(5 + 7 + 1);
    for (const line of lines.slice(0, -1)) expect(width(line)).toBe(5 + 1 + 14);
  });

  it("throws on labels that do not match", () => {
    expect(() => attentionText(matrix, ["a", "b"])).toThrow(ShapeError);
  });
});

describe("width", () => {
  it("is Unicode's East Asian width for every visible character, with the exceptions named here", {
    timeout: 60_000,
  }, () => {
    const exceptions = [
      [0x2329, 0x232a], // deprecated angle brackets
      [0x3248, 0x324f], // circled numbers: ambiguous, drawn wide
      [0x4dc0, 0x4dff], // hexagrams: wide since Unicode 16
      [0xfe10, 0xfe19], // vertical presentation forms
      [0x1171e, 0x1171e], // Ahom medial ra: a mark that starts a grapheme
      [0x16fe0, 0x18d08], // Tangut, Khitan, Nüshu
      [0x1aff0, 0x1b2fb], // archaic kana
      [0x1f1e6, 0x1f1ff], // half a flag
      [0x1f200, 0x1f265], // enclosed ideographs
    ];
    const { runs } = JSON.parse(readFileSync(new URL("fixtures/widths.json", import.meta.url), "utf8"));
    const off: string[] = [];
    let checked = 0;
    for (const [first, last, columns] of runs as number[][])
      for (let c = first; c <= last; c++) {
        if (exceptions.some(([from, to]) => c >= from && c <= to)) continue;
        checked++;
        if (width(String.fromCodePoint(c)) !== columns) off.push(c.toString(16));
      }
    expect(off).toEqual([]);
    expect(checked).toBeGreaterThan(130_000);
  });

  it("takes a grapheme as one: flags, joined emoji, presentation selectors, accents", () => {
    const known: [string, number][] = [
      ["🇩🇪", 2],
      ["👩‍👩‍👧", 2],
      ["👍🏽", 2],
      ["❤️", 2],
      ["❤", 1],
      ["e\u0301", 1],
      ["한국", 4],
      ["각", 2],
      ["ｆ", 2],
      ["ﾊ", 1],
      ["", 0],
      ["##ing", 5],
      ["Ġthe", 4],
      ["▁the", 4],
    ];
    for (const [text, columns] of known) expect([text, width(text)]).toEqual([text, columns]);
  });
});

describe("clip", () => {
  it("keeps what fits, else a prefix of whole graphemes and an ellipsis", () => {
    fc.assert(
      fc.property(hostile, fc.integer({ min: 1, max: 12 }), (text, limit) => {
        const cut = clip(text, limit);
        expect(width(cut)).toBeLessThanOrEqual(limit);
        if (width(plain(text)) <= limit) expect(cut).toBe(plain(text));
        else expect(plain(text).startsWith(cut.slice(0, -1)) && cut.endsWith("…")).toBe(true);
      }),
    );
    expect(clip("日本語", 4)).toBe("日…");
    expect(clip("👩‍👩‍👧👩‍👩‍👧", 3)).toBe("👩‍👩‍👧…");
  });
});
