import { Hono } from "hono";
import type { Tensor } from "wattention";
import { attentionHtml, attentionRollout, attentionSvg } from "wattention/view";
import { body, choice, integer, LIMITS, Refusal, text } from "./input.ts";
import { embedder, lasting } from "./model.ts";

/** What each token of a text attends to: a page with a picker, an image of all layers together or of one head, or the numbers. */
export const attention = new Hono().post("/", async (c) => {
  const input = await body(c);
  const sentence = text(input.text, "text");
  const format = choice(input.format, "format", ["html", "svg", "json"]);
  const { model, tokenizer } = await embedder();
  const { input_ids, tokens } = tokenizer.encode(sentence);
  const most = LIMITS.attention_tokens;
  if (tokens.length > most)
    throw new Refusal(400, "invalid_request_error", `text: has ${tokens.length} tokens, the limit is ${most}`, "text");
  const run = model.forward({ input_ids }, { outputs: ["attentions"], signal: c.req.raw.signal });
  const attentions = (await lasting(run)).attentions as Tensor[];
  const [, heads] = attentions[0].dims;
  const layer = integer(input.layer, "layer", -1, -1, attentions.length - 1);
  const head = integer(input.head, "head", 0, 0, heads - 1);
  if (format === "html") return c.html(attentionHtml({ attentions, tokens, title: sentence }));
  const rollout = layer < 0;
  const matrix = rollout ? attentionRollout(attentions) : attentions[layer].row(0).row(head);
  if (format === "json")
    return c.json({
      tokens,
      layers: attentions.length,
      heads,
      ...(rollout ? { rollout } : { layer, head }),
      attention: matrix.tolist(),
    });
  const title = `${sentence}: ${rollout ? "all layers" : `layer ${layer}, head ${head}`}`;
  return c.body(attentionSvg(matrix, { rows: tokens, columns: tokens, title }), 200, {
    "content-type": "image/svg+xml",
  });
});
