import { llamaLike } from "./causal.ts";

const use_bias = ["use_bias", true] as const;

/** StarCoder 2 (arXiv:2402.19173): LayerNorms, biases, a feed-forward without gates, a window. */
export const starcoder2 = llamaLike({
  names: { up: "c_fc", down: "c_proj" },
  options: { eps: "norm_epsilon" },
  bias: { qkv: use_bias, output: use_bias, mlp: use_bias },
  norm: "layer",
  activation: ["hidden_act", "gelu_pytorch_tanh"],
  mlp: "plain",
  layer_type: (config) => (config.has("sliding_window") ? "sliding_attention" : "full_attention"),
});
