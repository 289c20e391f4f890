import { createHash } from "node:crypto";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { InputError, ShapeError } from "../../src/errors.ts";
import { Tensor } from "../../src/tensor.ts";
import { attentionHtml } from "../../src/view/html.ts";
import { attentionRollout } from "../../src/view/rollout.ts";
import { patterns, tokens } from "./example.ts";
import { hostile, UNSAFE } from "./hostile.ts";

const between = (page: string, open: RegExp, close: string) => {
  const match = open.exec(page)!;
  const start = match.index + match[0].length;
  return page.slice(start, page.indexOf(close, start));
};
const styleOf = (page: string) => between(page, /<style>/, "</style>");
const scriptOf = (page: string) => between(page, /<script>/, "</script>");
const dataOf = (page: string) => between(page, /<script type=text\/plain id=d>/, "</script>").split(",");
const decode = (data: string) => Float64Array.from(Buffer.from(data, "base64"), (byte) => (byte / 255) ** 2);

/** As much of a document as the page's script touches. */
function open(page: string) {
  const node = (content = "") => ({
    textContent: content,
    className: "",
    disabled: false,
    selectedIndex: 0,
    children: [] as { textContent: string; className: string }[],
    style: {} as Record<string, string>,
    scrollIntoView: () => {},
    onchange: () => {},
    onkeydown: (_: { key: string; preventDefault(): void }) => {},
    onpointermove: (_: { offsetX: number; offsetY: number }) => {},
    pixels: new Uint8ClampedArray(),
    getContext() {
      return {
        createImageData: (w: number, h: number) => ({ data: new Uint8ClampedArray(4 * w * h) }),
        putImageData: (image: { data: Uint8ClampedArray }) => {
          this.pixels = image.data;
        },
      };
    },
  });
  const named = Object.fromEntries([...page.matchAll(/ id=(\w)/g)].map(([, id]) => [id, node()]));
  named.d.textContent = dataOf(page).join(",");
  named.o.children = [node(), node(), node()];
  for (const id of ["k", "q"])
    named[id].children = [
      ...between(page, new RegExp(`<section id=${id}>`), "</section>").matchAll(/<span>(.*?)<\/span>/g),
    ].map(([, text]) => node(text));
  const properties: Record<string, string> = {};
  const document = {
    querySelectorAll: (selector: string) => (selector === "[id]" ? Object.values(named) : []),
    body: { style: { setProperty: (name: string, value: string) => (properties[name] = value) } },
  };
  new Function("document", scriptOf(page))(document);
  return {
    ...named,
    said: () => named.o.children.map((c) => c.textContent),
    size: Number.parseInt(properties["--s"], 10),
  };
}

describe("attentionHtml", () => {
  const attentions = patterns(tokens);
  const T = tokens.length;
  const page = attentionHtml({ attentions, tokens, title: "It" });

  it("names its style and its script by hash and allows nothing else", () => {
    const sha256 = (text: string) => `'sha256-${createHash("sha256").update(text).digest("base64")}'`;
    expect(/Content-Security-Policy content="([^"]*)"/.exec(page)?.[1].split(";")).toEqual([
      "default-src 'none'",
      `script-src ${sha256(scriptOf(page))}`,
      `style-src ${sha256(styleOf(page))}`,
      "base-uri 'none'",
      "form-action 'none'",
    ]);
    expect(page).not.toMatch(/https?:|url\(|import|\s(?:src|href|style|on\w+)=/);
    const other = attentionHtml({ attentions: patterns(["a", "b"], 1), tokens: ["a", "b"] });
    expect([scriptOf(other), styleOf(other)]).toEqual([scriptOf(page), styleOf(page)]);
  });

  it("holds every probability within what the page says", () => {
    const maps = dataOf(page).map(decode);
    expect(maps).toHaveLength(attentions.length + 1);
    [...attentions, attentionRollout(attentions)].forEach((tensor, layer) => {
      tensor.data.forEach((p, i) => {
        expect(Math.abs(maps[layer][i] - p)).toBeLessThanOrEqual(Math.sqrt(p) / 255 + 1 / 510 ** 2 + 1e-7);
      });
    });
    expect(page).toContain("within 0.004");
    expect(1 / 255).toBeLessThan(0.004);
  });

  it("shows any layer, head, the mean of the heads and the rollout", () => {
    const view = open(page);
    const layers = [...between(page, /<select id=l>/, "</select>").matchAll(/<option>([^<]*)/g)].map((m) => m[1]);
    const heads = [...between(page, /<select id=h>/, "</select>").matchAll(/<option>([^<]*)/g)].map((m) => m[1]);
    expect(layers).toEqual(["0", "1", "2", "rollout"]);
    expect(heads).toEqual(["mean of heads", "0", "1", "2", "3"]);
    const rollout = attentionRollout(attentions).data;
    for (let layer = 0; layer < layers.length; layer++)
      for (let head = 0; head < heads.length; head++) {
        view.l.selectedIndex = layer;
        view.h.selectedIndex = head;
        view.l.onchange();
        const expected = Array.from({ length: T * T }, (_, i) => {
          if (layer === 3) return rollout[i];
          const at = (h: number) => attentions[layer].data[h * T * T + i];
          return head ? at(head - 1) : (at(0) + at(1) + at(2) + at(3)) / 4;
        });
        const top = Math.max(...expected);
        expect(Math.abs(+view.t.textContent - top)).toBeLessThan(0.005);
        expected.forEach((p, i) => {
          expect(Math.abs(view.c.pixels[4 * i + 3] / 255 - p / top)).toBeLessThan(0.03);
        });
        expect(view.h.disabled).toBe(layer === 3);
      }
  });

  it("says the pair under the pointer and moves by the arrow keys, within the matrix", () => {
    const view = open(page);
    const mean = (i: number, j: number) => {
      let sum = 0;
      for (let h = 0; h < 4; h++) sum += attentions[0].data[(h * T + i) * T + j];
      return sum / 4;
    };
    const expectPair = (i: number, j: number) => {
      const [from, to, p] = view.said();
      expect([from, to]).toEqual([tokens[i], tokens[j]].map((t) => t.replace("'", "&#39;")));
      expect(Math.abs(+p - mean(i, j))).toBeLessThan(0.0045);
      expect(view.q.children.map((c) => c.className === "on").indexOf(true)).toBe(i);
      expect(view.k.children.filter((c) => c.className === "on")).toEqual([view.k.children[j]]);
      expect(view.u.style.translate).toBe(`${j * view.size}px ${i * view.size}px`);
    };
    expectPair(0, 0);
    view.c.onpointermove({ offsetX: 2.5 * view.size, offsetY: 10.2 * view.size });
    expectPair(10, 2);
    let prevented = 0;
    const press = (key: string) => view.c.onkeydown({ key, preventDefault: () => prevented++ });
    press("ArrowDown");
    press("ArrowRight");
    expectPair(11, 3);
    press("ArrowUp");
    press("ArrowLeft");
    press("ArrowLeft");
    expectPair(10, 1);
    for (let i = 0; i < T; i++) press("ArrowLeft");
    expectPair(10, 0);
    const before = prevented;
    press("Tab");
    press("a");
    expect(prevented).toBe(before);
  });

  it("escapes every text: a hostile page differs from a harmless one in nothing but the text of its labels", {
    timeout: 60_000,
  }, () => {
    const skeleton = (html: string) => html.replace(/<(span|title|h1)>[^<>"']*<\/\1>/g, "<$1></$1>");
    fc.assert(
      fc.property(fc.array(hostile, { minLength: 1, maxLength: 6 }), hostile, (labels, title) => {
        const maps = [
          new Tensor(new Float32Array(labels.length ** 2).fill(1 / labels.length), [
            1,
            1,
            labels.length,
            labels.length,
          ]),
        ];
        const html = attentionHtml({ attentions: maps, tokens: labels, title });
        expect(html).not.toMatch(UNSAFE);
        expect(skeleton(html)).toBe(skeleton(attentionHtml({ attentions: maps, tokens: labels.map(() => "a") })));
        for (const [, text] of html.matchAll(/<(?:span|title|h1)>([^<]*)</g))
          expect(text).toMatch(/^(?:[^&]|&#\d+;)*$/);
      }),
    );
  });

  it("shows cross-attention, without a rollout, and one sequence of a batch", () => {
    const data = Float32Array.from([1, 0, 0.5, 0.5, 0, 1, /* second sequence */ 0.25, 0.75, 1, 0, 0.5, 0.5]);
    const cross = [new Tensor(data, [2, 1, 3, 2])];
    const labels = { rows: ["a", "b", "c"], columns: ["x", "y"] };
    const html = attentionHtml({ attentions: cross, tokens: labels, sequence: 1 });
    expect(html).not.toContain("rollout");
    const view = open(html);
    view.c.onkeydown({ key: "ArrowRight", preventDefault() {} });
    const [from, to, p] = view.said();
    expect([from, to]).toEqual(["a", "y"]);
    expect(Math.abs(+p - 0.75)).toBeLessThan(0.0045);
    expect(() => attentionHtml({ attentions: cross, tokens: labels, sequence: 2 })).toThrow(InputError);
  });

  it("names what is wrong", () => {
    expect(() => attentionHtml({ attentions: [], tokens })).toThrow(InputError);
    expect(() => attentionHtml({ attentions, tokens: tokens.slice(1) })).toThrow(ShapeError);
    expect(() => attentionHtml({ attentions: [attentions[0], patterns(["a"], 1)[0]], tokens })).toThrow(ShapeError);
  });
});
