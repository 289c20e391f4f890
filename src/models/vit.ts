import type { Config } from "../format/config.ts";
import type { Graph } from "../graph/graph.ts";
import { configActivation, firstToken, layerNorm, only } from "../nn/blocks.ts";
import { type LayerNames, preNormLayer, stack } from "../nn/encoder.ts";
import { classifier, dense } from "../nn/heads.ts";
import { imageGrid, patchEmbeddings } from "../nn/patches.ts";
import { imageDims, layOutImages, type PatchGrid } from "../runtime/images.ts";
import type { Architecture, Body } from "./architecture.ts";

/** The names of a layer's parts, which ViT's heirs kept. */
export const vitNames: LayerNames = {
  query: "attention.attention.query",
  key: "attention.attention.key",
  value: "attention.attention.value",
  output: "attention.output.dense",
  attention_norm: "layernorm_before",
  up: "intermediate.dense",
  down: "output.dense",
  norm: "layernorm_after",
};

const vitGrid = (config: Config) => imageGrid(config, { tokens: 1, interpolate: "asked" });

/** ViT (arXiv:2010.11929): patches as tokens behind a class token, learned positions, pre-norm layers. */
export const vit: Architecture = {
  prefix: "vit",
  ...ofImages(vitGrid),
  body: (g, config, at) => withImagePooler(g, config, at, vitBody(g, config, at, vitGrid(config), ["cls_token"])),
  heads: {
    ImageClassification: (g, config, { last_hidden_state }) => classifier(g, config, firstToken(g, last_hidden_state)),
  },
  ignore: /(^|\.)mask_token$/,
};

/** How a model takes inputs that are cut into patches. */
export function ofImages(grid: (config: Config) => PatchGrid): Pick<Architecture, "rules" | "layOut" | "dims"> {
  return {
    rules: (config) => ({ heads: grid(config).heads, sizes: {} }),
    layOut: (inputs, config) => layOutImages(inputs, grid(config)),
    dims: (config, batch, length) => imageDims(grid(config), batch, length),
  };
}

/** What heirs of ViT do otherwise. */
interface Otherwise {
  readonly names?: LayerNames;
  readonly intermediate_size?: number;
  readonly eps?: number;
  /** Options of the layer whose tensors begin with `layer`. */
  readonly layer?: (layer: string) => Pick<Parameters<typeof preNormLayer>[4], "feedForward" | "scales">;
}

/** Embeddings and layers under the names that ViT gave them. `tokens` are what stands before the patches. */
export function vitBody(
  g: Graph,
  config: Config,
  at: string,
  grid: PatchGrid,
  tokens: readonly string[],
  { names = vitNames, intermediate_size, eps: otherwise = 1e-12, layer }: Otherwise = {},
): Body {
  const eps = config.number("layer_norm_eps", { max: 1, default: otherwise });
  const width = config.int("hidden_size", { default: 768 });
  only(config, { head_dim: width / grid.heads });
  const parts = {
    projection: `${at}embeddings.patch_embeddings.projection`,
    bias: true,
    tokens: tokens.map((t) => `${at}embeddings.${t}`),
    token_dims: [1, 1],
    positions: `${at}embeddings.position_embeddings`,
    position_dims: [1],
  };
  const options = {
    attention: { heads: grid.heads },
    intermediate_size: intermediate_size ?? config.int("intermediate_size", { default: 3072 }),
    activation: configActivation(config, "hidden_act", "gelu"),
    qkv_bias: config.bool("qkv_bias", true),
    eps,
  };
  const layers = stack(
    patchEmbeddings(g, grid, parts, width),
    config.int("num_hidden_layers", { default: 12 }),
    (x, i) => {
      const at_layer = `${at}encoder.layer.${i}.`;
      return preNormLayer(g, at_layer, names, x, { ...options, ...layer?.(at_layer) });
    },
  );
  return { ...layers, last_hidden_state: layerNorm(g, `${at}layernorm`, layers.last_hidden_state, eps) };
}

/** A body with its pooler, where the checkpoint has one. */
export function withImagePooler(g: Graph, config: Config, at: string, body: Body): Body {
  const name = `${at}pooler.dense`;
  if (!g.has(`${name}.weight`)) return body;
  const first = firstToken(g, body.last_hidden_state);
  const out = config.int("pooler_output_size", { default: first.cols });
  return { ...body, pooler_output: dense(g, name, first, configActivation(config, "pooler_act", "tanh"), out) };
}
