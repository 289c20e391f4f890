import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { ShapeError } from "../../src/errors.ts";
import { Tensor } from "../../src/tensor.ts";
import { attentionSvg } from "../../src/view/svg.ts";
import { plain } from "../../src/view/text.ts";
import { hostile, UNSAFE } from "./hostile.ts";
import { all, parseXml, textOf } from "./xml.ts";

const ELEMENTS = ["svg", "title", "style", "path", "text", "g"];
const uniform = (rows: number, columns: number) =>
  new Tensor(new Float32Array(rows * columns).fill(1 / columns), [rows, columns]);
const letters = (n: number) => Array.from({ length: n }, (_, i) => String.fromCharCode(97 + (i % 26)));

describe("attentionSvg", () => {
  it("draws one cell a pair, as strong as the probability, at its row and column, with a tooltip", () => {
    const matrix = new Tensor(Float32Array.from([0.1, 0.4, 0.5, 0.8, 0.2, 0]), [2, 3]);
    const svg = parseXml(attentionSvg(matrix, { rows: ["a", "b"], columns: ["x", "y", "z"], title: "Layer 1" }));
    expect(svg.attributes).toMatchObject({ role: "img", "aria-label": "Layer 1", xmlns: "http://www.w3.org/2000/svg" });
    expect(textOf(all(svg, "title")[0])).toBe("Layer 1");
    const cells = all(svg, "path").filter((p) => all(p, "title").length);
    expect(cells.map(textOf)).toEqual([
      "a → x: 0.1",
      "a → y: 0.4",
      "a → z: 0.5",
      "b → x: 0.8",
      "b → y: 0.2",
      "b → z: 0",
    ]);
    matrix.data.forEach((p, i) => {
      expect(Math.abs(+cells[i].attributes["fill-opacity"] - p / Math.fround(0.8))).toBeLessThanOrEqual(0.01 + 1e-6);
    });
    const place = cells.map((c) => /^M(\d+) (\d+)h/.exec(c.attributes.d)!.slice(1).map(Number));
    const labels = all(svg, "g").map((g) => all(g, "text"));
    for (const [i, [x, y]] of place.entries()) {
      const row = labels[0][Math.floor(i / 3)].attributes;
      const column = labels[1][i % 3].attributes; // turned by −90°: its y runs along our x
      expect(+row.y - y).toBeGreaterThan(0);
      expect(+row.y - y).toBeLessThan(16);
      expect(+column.y - x).toBeGreaterThan(0);
      expect(+column.y - x).toBeLessThan(16);
      expect(-column.x).toBeGreaterThan(0);
      expect(-column.x).toBeLessThan(y);
      expect(+row.x).toBeLessThan(x);
    }
    expect(all(svg, "text").map(textOf)).toContain("0.8");
  });

  it("is well-formed and holds no element but its own, whatever the text", { timeout: 60_000 }, () => {
    fc.assert(
      fc.property(
        fc.array(hostile, { minLength: 1, maxLength: 6 }),
        fc.array(hostile, { minLength: 1, maxLength: 6 }),
        hostile,
        (rows, columns, title) => {
          const source = attentionSvg(uniform(rows.length, columns.length), { rows, columns, title });
          expect(source).not.toMatch(UNSAFE);
          const svg = parseXml(source);
          const names = (e: typeof svg): string[] => [
            e.name,
            ...e.children.flatMap((c) => (typeof c === "string" ? [] : names(c))),
          ];
          const benign = parseXml(
            attentionSvg(uniform(rows.length, columns.length), {
              rows: rows.map(() => "a"),
              columns: columns.map(() => "a"),
            }),
          );
          expect(names(svg)).toEqual(names(benign));
          for (const name of names(svg)) expect(ELEMENTS).toContain(name);
          expect(svg.attributes["aria-label"]).toBe(plain(title));
          const tips = all(svg, "title").slice(1).map(textOf);
          expect(tips[0].startsWith(`${plain(rows[0])} → ${plain(columns[0])}: `)).toBe(true);
        },
      ),
    );
  });

  it("shows control characters instead of dropping them", () => {
    const svg = attentionSvg(uniform(1, 1), { rows: ["\n"], columns: ["\x1b[0m\u202e"] });
    expect(svg).toContain(">␊</text>");
    expect(svg).toContain(">␛[0m\ufffd</text>");
  });

  it("merges the cells of a large map into a path a shade, each cell once", () => {
    const T = 64;
    const matrix = new Tensor(
      Float32Array.from({ length: T * T }, (_, i) => (i % 7) / 6),
      [T, T],
    );
    const svg = parseXml(attentionSvg(matrix, { rows: letters(T), columns: letters(T) }));
    expect(all(svg, "title")).toHaveLength(1);
    const cells = all(svg, "path")
      .filter((p) => p.attributes.class === "c")
      .slice(0, 7);
    const boxes = cells.flatMap((p) => p.attributes.d.split("z").filter(Boolean));
    expect(boxes).toHaveLength(T * T);
    expect(new Set(boxes).size).toBe(T * T);
  });

  it("draws nothing for zeros and for what is no number, and throws on labels that do not match", () => {
    const odd = new Tensor(Float32Array.from([0, Number.NaN, -1, 0]), [2, 2]);
    const options = { rows: ["a", "b"], columns: ["a", "b"] };
    const cells = all(parseXml(attentionSvg(odd, options)), "path").filter((p) => all(p, "title").length);
    expect(cells.map((c) => c.attributes["fill-opacity"])).toEqual(["0", "0", "0", "0"]);
    expect(() => attentionSvg(odd, { rows: ["a"], columns: ["a", "b"] })).toThrow(ShapeError);
    expect(() => attentionSvg(uniform(1, 4), options)).toThrow(ShapeError);
  });
});
