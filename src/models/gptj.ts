import { Config } from "../format/config.ts";
import { llamaLike } from "./causal.ts";

/** GPT-J (https://github.com/kingoflolz/mesh-transformer-jax): pairs of neighbours are rotated, attention and feed-forward read the same. */
export const gptj = llamaLike({
  prefix: "transformer",
  names: {
    words: "wte",
    layers: "h",
    attention: "attn",
    output: "out_proj",
    up: "fc_in",
    down: "fc_out",
    norm: "ln_f",
  },
  options: {
    hidden_size: ["n_embd", "hidden_size"],
    heads: ["n_head", "num_attention_heads"],
    layers: ["n_layer", "num_hidden_layers"],
    inner: "n_inner",
    eps: "layer_norm_epsilon",
  },
  bias: { qkv: false, output: false, mlp: true, head: true },
  norm: "layer",
  norms: { attention: "ln_1" },
  parallel: () => true,
  activation: ["activation_function", "gelu_new"],
  mlp: "plain",
  interleaved: true,
  rope: (config) => ({
    rope_type: "default",
    rope_theta: 1e4,
    partial_rotary_factor: 1,
    dim: config.int("rotary_dim", { default: 64 }),
    more: new Config({}),
  }),
  ignore: /(^|\.)attn\.(bias|masked_bias)$/,
});
