import { layerNorm, linear } from "../nn/blocks.ts";
import { llamaLike, perHead } from "./causal.ts";

/** Phi 1 to 2 (arXiv:2309.05463): attention and feed-forward side by side, LayerNorms, half of each head rotated. */
export const phi = llamaLike({
  names: { output: "dense", up: "fc1", down: "fc2", norm: "final_layernorm" },
  options: { eps: "layer_norm_eps" },
  bias: { qkv: true, output: true, mlp: true, head: true },
  norm: "layer",
  norms: { attention: "input_layernorm" },
  parallel: () => true,
  activation: ["hidden_act", "gelu_new"],
  mlp: "plain",
  rope: (config, type) => config.rope(type, "rope_theta", 1e4, 0.5),
  qk_norm: ({ g, config }, name, x, heads) =>
    config.bool("qk_layernorm")
      ? perHead(g, x, heads, (x) =>
          layerNorm(g, `${name}_layernorm`, x, config.number("layer_norm_eps", { default: 1e-5 })),
        )
      : x,
});

/** Phi 3 and 4 (arXiv:2404.14219): Llama with queries, keys and values in one matrix, gates and what they let through in another. */
export const phi3 = llamaLike({
  bias: { qkv: false, output: false, mlp: false },
  layer_type: (config) => (config.has("sliding_window") ? "sliding_attention" : "full_attention"),
  /** Its first files call longrope `su` or `yarn`. */
  rope(config, type) {
    const rope = config.rope(type);
    return /^(su|yarn)$/.test(rope.rope_type) ? { ...rope, rope_type: "longrope" } : rope;
  },
  qkv({ g, heads, kv_heads, head_dim }, at, x) {
    const [q, k] = [heads * head_dim, kv_heads * head_dim];
    const all = linear(g, `${at}qkv_proj`, x, q + 2 * k, false);
    return [g.columns(all, 0, q), g.columns(all, q, k), g.columns(all, q + k, k)];
  },
  mlp({ g, inner, hidden_size, kind }, at, x) {
    const both = linear(g, `${at}gate_up_proj`, x, 2 * inner, false);
    const lifted = g.glu(g.columns(both, 0, inner), g.columns(both, inner, inner), kind);
    return linear(g, `${at}down_proj`, lifted, hidden_size, false);
  },
});
