import type { Config } from "../format/config.ts";
import { firstToken, linear, secondToken } from "../nn/blocks.ts";
import { imageGrid } from "../nn/patches.ts";
import type { Architecture } from "./architecture.ts";
import { ofImages, vit, vitBody, withImagePooler } from "./vit.ts";

const deitGrid = (config: Config) => imageGrid(config, { tokens: 2, interpolate: "asked" });

/** DeiT (arXiv:2012.12877): ViT with a distillation token beside the class token. */
export const deit: Architecture = {
  ...vit,
  prefix: "deit",
  ...ofImages(deitGrid),
  body: (g, config, at) =>
    withImagePooler(g, config, at, vitBody(g, config, at, deitGrid(config), ["cls_token", "distillation_token"])),
  heads: {
    ...vit.heads,
    /** The mean of what the two tokens say. */
    ImageClassificationWithTeacher: (g, config, { last_hidden_state: x }) => {
      const labels = config.labels().length;
      const cls_logits = linear(g, "cls_classifier", firstToken(g, x), labels);
      const distillation_logits = linear(g, "distillation_classifier", secondToken(g, x), labels);
      const half = g.constant(new Float32Array(labels).fill(0.5));
      return { logits: g.mul(g.add(cls_logits, distillation_logits), half), cls_logits, distillation_logits };
    },
  },
};
