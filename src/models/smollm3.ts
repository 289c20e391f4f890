import type { Config } from "../format/config.ts";
import { llamaLike } from "./causal.ts";

/** Every fourth layer goes without rotations (arXiv:2501.18795), unless the config lists others. */
const rotated = (config: Config, layer: number) =>
  config.numbers("no_rope_layers")[layer] ?? (layer + 1) % config.int("no_rope_layer_interval", { default: 4 });

/** SmolLM3 (https://huggingface.co/blog/smollm3): Llama with layers without rotations, which may see a window. */
export const smollm3 = llamaLike({
  rope: (config, type, layer) => (rotated(config, layer) ? config.rope(type) : undefined),
  layer_type: (config, layer) =>
    config.bool("use_sliding_window") && config.has("sliding_window") && !rotated(config, layer)
      ? "sliding_attention"
      : "full_attention",
});
