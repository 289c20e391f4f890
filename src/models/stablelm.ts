import { layerNorm } from "../nn/blocks.ts";
import { llamaLike, NORMS, perHead } from "./causal.ts";

/** StableLM 2 (arXiv:2402.17834): LayerNorms, a quarter of each head rotated, sometimes attention and feed-forward side by side. */
export const stablelm = llamaLike({
  options: { eps: "layer_norm_eps" },
  bias: { qkv: ["use_qkv_bias", false], output: false, mlp: false },
  norm: "layer",
  rope: (config, type) => config.rope(type, "rope_theta", 1e4, 0.25),
  parallel: (config) => config.bool("use_parallel_residual"),
  norms: (config) => (config.bool("use_parallel_residual") ? { attention: "input_layernorm" } : NORMS.before),
  qk_norm: ({ g, config }, name, x, heads) =>
    config.bool("qk_layernorm")
      ? perHead(g, x, heads, (x, h) =>
          layerNorm(g, `${name}_layernorm.norms.${h}`, x, config.number("layer_norm_eps", { default: 1e-5 }), false),
        )
      : x,
});
