import type { Config } from "../format/config.ts";
import type { Graph } from "../graph/graph.ts";
import { Activation, Pooling } from "../graph/op.ts";
import { firstToken, linear } from "../nn/blocks.ts";
import { classifier } from "../nn/heads.ts";
import { imageGrid } from "../nn/patches.ts";
import type { Architecture, Body } from "./architecture.ts";
import { ofImages, vit, vitBody, vitNames } from "./vit.ts";

const names = { ...vitNames, attention_norm: "norm1", norm: "norm2", up: "mlp.fc1", down: "mlp.fc2" };

const dinov2Grid = (config: Config) => imageGrid(config, { tokens: 1, interpolate: "always" }, { patch_size: 14 });

/** DINOv2 (arXiv:2304.07193): ViT with scaled layers, gated feed-forward in the largest, positions interpolated to any size. */
export const dinov2: Architecture = {
  ...vit,
  prefix: "dinov2",
  ...ofImages(dinov2Grid),
  body: dinov2Body,
  heads: {
    /** Over the class token and the mean of the patches. */
    ImageClassification: (g, config, { last_hidden_state: x }) =>
      classifier(g, config, g.concat([firstToken(g, x), g.pool(x, Pooling.mean)])),
  },
};

function dinov2Body(g: Graph, config: Config, at: string): Body {
  const hidden_size = config.int("hidden_size", { default: 768 });
  const intermediate_size = Math.floor(hidden_size * config.number("mlp_ratio", { default: 4 }));
  // Two thirds, since there are three matrices then.
  const gated = Math.ceil(Math.floor((intermediate_size * 2) / 3) / 8) * 8;
  const swiglu = config.bool("use_swiglu_ffn");
  const body = vitBody(g, config, at, dinov2Grid(config), ["cls_token"], {
    names: swiglu ? { ...names, down: "mlp.weights_out" } : names,
    intermediate_size,
    eps: 1e-6,
    layer: (layer) => ({
      scales: ["layer_scale1.lambda1", "layer_scale2.lambda1"],
      ...(swiglu && {
        feedForward: (x) => {
          const both = linear(g, `${layer}mlp.weights_in`, x, 2 * gated);
          return g.glu(g.columns(both, 0, gated), g.columns(both, gated, gated), Activation.silu);
        },
      }),
    }),
  });
  return { ...body, pooler_output: firstToken(g, body.last_hidden_state) };
}
