import type { Config } from "../format/config.ts";
import { type Family, llamaLike } from "./causal.ts";

const gemmas: Family = {
  bias: { mlp: false },
  norm_offset: 1,
  // transformers multiplies by the root in the type of the weights; in f32 that is its nearest f32.
  embedding_scale: (config) => Math.fround(Math.sqrt(config.int("hidden_size"))),
  activation: [["hidden_activation", "hidden_act"], "gelu_pytorch_tanh"],
};

/** Gemma (arXiv:2403.08295): Llama with norms about 1, scaled embeddings and GELU gates. */
export const gemma = llamaLike(gemmas);

const attention = (config: Config) => ({
  scale: 1 / Math.sqrt(config.number("query_pre_attn_scalar", { default: 256 })),
  softcap: config.number("attn_logit_softcapping", { default: 0 }),
});

/** Gemma 2 (arXiv:2408.00118): norms on both sides, soft caps, a window in every other layer. */
export const gemma2 = llamaLike({
  ...gemmas,
  norms: "both",
  attention,
  layer_type: (_, layer) => (layer % 2 ? "full_attention" : "sliding_attention"),
});
