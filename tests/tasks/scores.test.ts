import fc from "fast-check";
import { expect, test } from "vitest";
import { whole } from "../../src/options.ts";
import { choice, countOrAll, sigmoid, softmax, topK } from "../../src/tasks/scores.ts";

const logits = fc.array(fc.double({ min: -1000, max: 1000, noNaN: true }), { minLength: 1, maxLength: 40 });

test("softmax is e^x over its sum, whatever is added to all", () => {
  fc.assert(
    fc.property(logits, fc.double({ min: -100, max: 100, noNaN: true }), (x, shift) => {
      const most = Math.max(...x);
      const sum = x.reduce((s, v) => s + Math.exp(v - most), 0);
      const [a, b] = [softmax(x), softmax(x.map((v) => v + shift))];
      for (const [i, v] of x.entries()) {
        expect(Math.abs(a[i] - Math.exp(v - most) / sum)).toBeLessThan(1e-14);
        expect(Math.abs(a[i] - b[i])).toBeLessThan(1e-11);
      }
      expect(Math.abs(a.reduce((s, v) => s + v) - 1)).toBeLessThan(1e-13);
    }),
  );
  expect(softmax([])).toEqual([]);
});

test("sigmoid", () => {
  for (const x of [-800, -30, -1, 0, 1e-9, 2.5, 40, 800]) expect(sigmoid(x)).toBeCloseTo(1 / (1 + Math.exp(-x)), 14);
});

test("topK is a stable sort's beginning", () => {
  const rounded = fc.array(fc.integer({ min: -5, max: 5 }), { maxLength: 30 });
  fc.assert(
    fc.property(rounded, fc.integer({ min: 1, max: 35 }), (x, k) => {
      const sorted = [...x.keys()].sort((a, b) => x[b] - x[a]);
      expect(topK(x, k)).toEqual(sorted.slice(0, k));
      expect(topK(Float32Array.from(x))).toEqual(sorted);
    }),
  );
});

test("options", () => {
  expect(whole("top_k", 3)).toBe(3);
  expect(countOrAll("top_k", null)).toBeUndefined();
  for (const bad of [0, -1, 1.5, Number.NaN, "2" as never])
    for (const check of [countOrAll]) expect(() => check("top_k", bad)).toThrow("top_k");
  expect(choice("a", 1, [1, 2])).toBe(1);
  expect(() => choice("a", 3, [1, 2])).toThrow("a: 3 is not supported; supported: 1, 2");
});
