/**
 * Made-up attention patterns of a small encoder, for tests and for the pictures in docs/:
 * `node --experimental-transform-types tests/view/example.ts svg > docs/attention.svg` (or html, text, ansi).
 */
import { pathToFileURL } from "node:url";
import { Tensor } from "../../src/tensor.ts";
import { attentionHtml } from "../../src/view/html.ts";
import { attentionRollout } from "../../src/view/rollout.ts";
import { attentionSvg } from "../../src/view/svg.ts";
import { attentionText } from "../../src/view/terminal.ts";

export const tokens = "[CLS] the animal didn ' t cross the street because it was too tired . [SEP]".split(" ");

/** One [1, 4, T, T] a layer; the heads look at themselves, the token before, equal or paired tokens, and the end. */
export function patterns(labels: readonly string[], layers = 3): Tensor[] {
  const T = labels.length;
  const pairs = new Set(["it animal", "tired animal", "tired it", "cross street", "t didn", "was it"]);
  const heads = (sharpness: number) => [
    (i: number, j: number) => (i === j ? sharpness : 0),
    (i: number, j: number) => (j === Math.max(0, i - 1) ? sharpness : -Math.abs(i - j) / 4),
    (i: number, j: number) =>
      labels[i] === labels[j] || pairs.has(`${labels[i]} ${labels[j]}`) || pairs.has(`${labels[j]} ${labels[i]}`)
        ? sharpness
        : 0,
    (_: number, j: number) => (j === T - 1 ? sharpness : 0),
  ];
  return Array.from({ length: layers }, (_, layer) => {
    const data = heads(2 + layer).flatMap((score) =>
      labels.flatMap((_, i) => {
        const weights = labels.map((_, j) => Math.exp(score(i, j)));
        const sum = weights.reduce((a, b) => a + b);
        return weights.map((w) => w / sum);
      }),
    );
    return new Tensor(Float32Array.from(data), [1, 4, T, T]);
  });
}

if (process.argv[1] && import.meta.url === pathToFileURL(process.argv[1]).href) {
  const attentions = patterns(tokens);
  const labels = { rows: tokens, columns: tokens };
  const matrix = attentionRollout(attentions);
  const kinds: Record<string, () => string> = {
    svg: () => attentionSvg(matrix, { ...labels, title: "Attention rollout" }),
    html: () => attentionHtml({ attentions, tokens }),
    text: () => attentionText(matrix, tokens),
    ansi: () => attentionText(matrix, tokens, { color: true }),
  };
  process.stdout.write(`${kinds[process.argv[2] ?? "svg"]()}\n`);
}
