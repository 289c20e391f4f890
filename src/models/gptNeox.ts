import { grouped, llamaLike, NORMS } from "./causal.ts";

const attention_bias = ["attention_bias", true] as const;

/** GPT-NeoX and Pythia (arXiv:2204.06745): part of each head is rotated, attention and feed-forward read the same input. */
export const gptNeox = llamaLike({
  prefix: "gpt_neox",
  names: {
    words: "embed_in",
    attention: "attention",
    output: "dense",
    up: "dense_h_to_4h",
    down: "dense_4h_to_h",
    norm: "final_layer_norm",
    head: "embed_out",
  },
  options: { eps: "layer_norm_eps" },
  bias: { qkv: attention_bias, output: attention_bias, mlp: true },
  norm: "layer",
  norms: NORMS.before,
  parallel: (config) => config.bool("use_parallel_residual", true),
  activation: ["hidden_act", "gelu"],
  mlp: "plain",
  rope: (config, type) => config.rope(type, ["rotary_emb_base", "rope_theta"], 1e4, 0.25),
  qkv: (p, at, x, bias) => grouped(p, `${at}query_key_value`, x, bias),
  ignore: /(^|\.)attention\.(bias|masked_bias|rotary_emb\.inv_freq)$/,
});
