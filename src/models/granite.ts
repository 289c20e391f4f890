import { llamaLike } from "./causal.ts";

/** Granite 3 (arXiv:2408.13359 gives its scaling): Llama with factors on embeddings, scores, what layers add, and logits. */
export const granite = llamaLike({
  embedding_scale: (config) => config.number("embedding_multiplier", { default: 1 }),
  residual_scale: (config) => config.number("residual_multiplier", { default: 1 }),
  logit_scale: (config) => 1 / config.number("logits_scaling", { default: 1 }),
  attention: (config) => ({ scale: config.number("attention_multiplier", { default: 1 }) }),
});
