/** Attention made visible. */

import { equal, ok } from "./assert.mjs";
import { source } from "./files.mjs";

/** Attention of the shipped model's folder, in the build that gives the same bits everywhere. */
export async function looked(c, text = "The river bank was steep, <b>naïve</b> & 東京 👩‍👩‍👧.") {
  const extract = await c.wattention.pipeline("feature-extraction", source(c, "models/default-embedder"), {
    deterministic: true,
  });
  const { input_ids, tokens } = extract.tokenizer.encode(text);
  const { attentions } = await extract.model.forward({ input_ids }, { outputs: ["attentions"] });
  extract.dispose();
  const matrix = c.view.attentionRollout(attentions);
  return {
    attentions,
    tokens,
    matrix,
    svg: c.view.attentionSvg(matrix, { rows: tokens, columns: tokens }),
    html: c.view.attentionHtml({ attentions, tokens }),
    text: c.view.attentionText(matrix, tokens),
  };
}

export const view = {
  "attention of a text: probabilities, rollout, SVG, HTML, text": async (c) => {
    const { attentions, tokens, matrix, svg, html, text } = await looked(c);
    const T = tokens.length;
    ok(attentions.length > 1, "layers");
    for (const { dims, data } of attentions) {
      equal([dims[0], dims[2], dims[3]], [1, T, T], "dims");
      for (let row = 0; row < dims[1] * T; row++) {
        const sum = data.subarray(row * T, (row + 1) * T).reduce((a, b) => a + b);
        ok(Math.abs(sum - 1) < 1e-5, `row ${row} sums to ${sum}`);
      }
    }
    equal(matrix.dims, [T, T], "rollout");
    ok(svg.startsWith("<svg") && svg.endsWith("</svg>") && !svg.includes("<script"), "svg");
    ok(html.includes("Content-Security-Policy") && html.length > 1000, "html");
    equal(text.trim().split("\n").length >= T, true, "text");
    // The markup is well formed where the host has a parser to say so.
    if (typeof DOMParser === "function") {
      const parsed = new DOMParser().parseFromString(svg, "image/svg+xml");
      ok(!parsed.querySelector("parsererror") && parsed.querySelectorAll("path.c").length >= T, "parsed");
    }
    let error;
    try {
      c.view.attentionSvg(matrix, { rows: ["one"], columns: tokens });
    } catch (e) {
      error = e;
    }
    equal([error?.name, error?.tensor, error?.expected], ["ShapeError", "matrix", [1, T]], "error");
    // wattention/service-worker is one piece, with classes of its own.
    ok(error instanceof Error && (c.apart || error instanceof c.wattention.ShapeError), "one class for all entries");
  },
};
