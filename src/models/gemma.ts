import { Config } from "../format/config.ts";
import { only } from "../nn/blocks.ts";
import type { Architecture } from "./architecture.ts";
import { type Family, llamaLike, NORMS } from "./causal.ts";

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
  norms: NORMS.both,
  attention,
  layer_type: (_, layer) => (layer % 2 ? "full_attention" : "sliding_attention"),
});

/** Gemma 3's text (arXiv:2503.19786): norms of queries and keys instead of soft caps, five windowed layers to each full one, a base of rotations for each kind. */
export const gemma3Text = llamaLike({
  ...gemmas,
  norms: NORMS.both,
  qk_norm: "head",
  attention,
  check: (config) => only(config, { use_bidirectional_attention: false }),
  layer_type: (config, layer) =>
    (layer + 1) % config.int(["sliding_window_pattern", "_sliding_window_pattern"], { default: 6 })
      ? "sliding_attention"
      : "full_attention",
  // transformers 4 scaled the full layers alone, and had a field for the base of the others.
  rope: (config, type) =>
    type === "full_attention" || config.sub("rope_parameters").has(type)
      ? config.rope(type, "rope_theta", 1e6)
      : {
          rope_type: "default",
          rope_theta: config.number("rope_local_base_freq", { min: 1, default: 1e4 }),
          partial_rotary_factor: 1,
          more: new Config({}),
        },
});

/** What Gemma 3's vision models hold of text. */
const text = (config: Config) => config.sub("text_config");

/** The text part of a Gemma 3 that sees pictures too; those are not read. */
export const gemma3: Architecture = {
  ...gemma3Text,
  prefix: "language_model.model",
  rules: (config) => gemma3Text.rules(text(config)),
  body: (g, config, at) => gemma3Text.body(g, text(config), at || "model.language_model."),
  heads: {
    ConditionalGeneration: (g, config, body, at) =>
      gemma3Text.heads.CausalLM!(g, text(config), body, at || "model.language_model."),
  },
  ignore: /vision_tower|multi_modal_projector/,
};
