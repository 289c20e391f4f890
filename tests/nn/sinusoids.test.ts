import { expect, it } from "vitest";
import { sinusoids, tensor2tensor } from "../../src/nn/sinusoids.ts";

it("positions of Marian and Pegasus are numpy's, of even and odd widths", () => {
  for (const [rows, width] of [
    [600, 20],
    [33, 7],
    [2, 2],
  ]) {
    const got = sinusoids(rows, width);
    const sines = Math.ceil(width / 2);
    for (let p = 0; p < rows; p++)
      for (let j = 0; j < width; j++) {
        const angle = p / 10000 ** ((2 * Math.floor(j / 2)) / width);
        const want = j % 2 ? Math.cos(angle) : Math.sin(angle);
        expect(Math.abs(got[p * width + (j % 2 ? sines + (j - 1) / 2 : j / 2)] - want)).toBeLessThan(1e-7);
      }
  }
});

// M2M100SinusoidalPositionalEmbedding.get_embedding(1030, 10, 1) of transformers 5.23 on torch 2.15: row 1029, and its padding.
it("positions of M2M-100 are torch's, rounded as it rounds", () => {
  const got = tensor2tensor(1030, 10, 1);
  expect([...got.subarray(10, 20)]).toEqual(new Array(10).fill(0));
  const want = [
    -0.99176729, 0.69797343, -0.76123923, 0.85678369, 0.10271849, 0.12805338, -0.71612364, -0.64847112, 0.51567596,
    0.99471045,
  ];
  for (const [i, x] of want.entries()) expect(Math.abs(got[10290 + i] - x)).toBeLessThan(2e-7);
});
