import { llamaLike } from "./causal.ts";

/** Mistral (arXiv:2310.06825): Llama in which every layer sees a window of the past. */
export const mistral = llamaLike({
  bias: { qkv: false, output: false, mlp: false },
  layer_type: (config) => (config.has("sliding_window") ? "sliding_attention" : "full_attention"),
});
