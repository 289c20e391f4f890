import type { Config } from "../format/config.ts";
import { type Family, llamaLike } from "./causal.ts";

/** Layers from max_window_layers on see a window, if the config says that any does. */
const layer_type = (config: Config, layer: number) =>
  config.bool("use_sliding_window") && layer >= config.int("max_window_layers", { min: 0, default: 28 })
    ? "sliding_attention"
    : "full_attention";

export const qwen2Attention: Family = { bias: { qkv: true, output: false, mlp: false }, layer_type };
export const qwen3Attention: Family = { bias: { mlp: false }, qk_norm: "head", layer_type };

/** Qwen2 and 2.5 (arXiv:2407.10671): Llama with biases in the projections of attention. */
export const qwen2 = llamaLike(qwen2Attention);

/** Qwen3 (arXiv:2505.09388): no biases, queries and keys are normalised head by head. */
export const qwen3 = llamaLike(qwen3Attention);
