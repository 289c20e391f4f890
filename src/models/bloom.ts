import { layerNorm, only } from "../nn/blocks.ts";
import { alibiSlopes } from "../nn/relative.ts";
import { grouped, llamaLike } from "./causal.ts";

export const bloomNames = {
  words: "word_embeddings",
  layers: "h",
  attention: "self_attention",
  output: "dense",
  up: "dense_h_to_4h",
  down: "dense_4h_to_h",
  norm: "ln_f",
};

/** BLOOM (arXiv:2211.05100): positions by ALiBi, a norm of the embeddings, LayerNorms, a feed-forward without gates. */
export const bloom = llamaLike({
  prefix: "transformer",
  names: bloomNames,
  options: {
    hidden_size: ["hidden_size", "n_embed"],
    heads: ["n_head", "num_attention_heads"],
    layers: ["n_layer", "num_hidden_layers"],
    eps: "layer_norm_epsilon",
  },
  check: (config) => only(config, { apply_residual_connection_post_layernorm: false }),
  bias: { qkv: true, output: true, mlp: true },
  norm: "layer",
  activation: [[], "gelu_new"],
  mlp: "plain",
  embedded: ({ g, config }, x, at) =>
    layerNorm(g, `${at}word_embeddings_layernorm`, x, config.number("layer_norm_epsilon", { default: 1e-5 })),
  rope: () => undefined,
  qkv: (p, at, x) => grouped(p, `${at}query_key_value`, x, true),
  attention: (_, { g, heads }) => ({ slopes: g.constant(alibiSlopes(heads)) }),
});
