import { UnsupportedOptionError } from "../errors.ts";
import type { Config } from "../format/config.ts";
import { type Graph, pad, type Value } from "../graph/graph.ts";
import { Activation } from "../graph/op.ts";
import { linear, only } from "../nn/blocks.ts";
import { choose, type Expert, mixture } from "../nn/experts.ts";
import { llamaLike, type Mlp, type Parts } from "./causal.ts";
import { qwen2Attention, qwen3Attention } from "./qwen.ts";

/** How many experts there are, and how many a token chooses. */
function counts(config: Config): [number, number] {
  const all = config.int(["num_experts", "num_local_experts"]);
  const chosen = config.int("num_experts_per_tok", { default: 2 });
  if (chosen > all) throw new UnsupportedOptionError("num_experts_per_tok", chosen, [`up to ${all}`]);
  return [all, chosen];
}

const names =
  (gate: string, up: string, down: string) =>
  (g: Graph, at: string, cols: number, inner: number) =>
  (e: number): Expert => ({
    up: [gate, up].map((name) => g.weight(`${at}experts.${e}.${name}.weight`, [inner, cols])),
    down: g.weight(`${at}experts.${e}.${down}.weight`, [cols, inner]),
  });
const each = (n: number, expert: (e: number) => Expert) => Array.from({ length: n }, (_, e) => expert(e));

const window = (config: Config) => (config.has("sliding_window") ? "sliding_attention" : "full_attention");

/** Mixtral (arXiv:2401.04088): Mistral whose feed-forward is two of some experts. */
export const mixtral = llamaLike({
  bias: { qkv: false, output: false, mlp: false },
  names: { mlp: "block_sparse_moe" },
  layer_type: window,
  mlp({ g, config, inner, kind }, at, x) {
    const [all, chosen] = counts(config);
    const choice = choose(g, linear(g, `${at}gate`, x, all, false), chosen, true);
    return mixture(g, x, choice, each(all, names("w1", "w3", "w2")(g, at, x.cols, inner)), inner, kind);
  },
});

/** Of Qwen's: which layers have experts, what a token's factors are, and the expert that all tokens share. */
function qwen({ g, config, kind }: Parts, at: string, x: Value, gated: Mlp, layer: number): Value {
  const sparse = (layer + 1) % config.int("decoder_sparse_step", { default: 1 }) === 0;
  if (!sparse || config.numbers("mlp_only_layers").includes(layer)) return gated(at, x);
  const expert = names("gate_proj", "up_proj", "down_proj");
  const [all, chosen] = counts(config);
  const inner = config.int("moe_intermediate_size");
  const choice = choose(g, linear(g, `${at}gate`, x, all, false), chosen, config.bool("norm_topk_prob"));
  const y = mixture(g, x, choice, each(all, expert(g, at, x.cols, inner)), inner, kind);
  if (!config.has("shared_expert_intermediate_size")) return y;
  // A mixture of one, whose factor is a sigmoid.
  const shared = config.int("shared_expert_intermediate_size");
  const logit = g.topK(linear(g, `${at}shared_expert_gate`, x, 1, false), 1);
  const weights = g.activation(g.columns(logit, 0, 1), Activation.sigmoid);
  const own = ["gate", "up"].map((n) => g.weight(`${at}shared_expert.${n}_proj.weight`, [shared, x.cols]));
  const only = { up: own, down: g.weight(`${at}shared_expert.down_proj.weight`, [x.cols, shared]) };
  return g.add(y, mixture(g, x, { weights, index: g.columns(logit, pad(1), 1) }, [only], shared, kind));
}

/** Qwen's mixtures (arXiv:2407.10671, arXiv:2505.09388). */
export const qwen2Moe = llamaLike({
  ...qwen2Attention,
  bias: { qkv: ["qkv_bias", true], output: false, mlp: false },
  mlp: qwen,
});
export const qwen3Moe = llamaLike({ ...qwen3Attention, mlp: qwen });

/** gpt-oss (arXiv:2508.10925): sinks beside the keys, a window in every other layer, clamped gates, biases everywhere. */
export const gptOss = llamaLike({
  bias: { qkv: ["attention_bias", true], output: ["attention_bias", true] },
  layer_type: (_, layer) => (layer % 2 ? "full_attention" : "sliding_attention"),
  rope: (config, type) => config.rope(type, "rope_theta", 150_000),
  check: (config) => only(config, { swiglu_alpha: 1.702, hidden_act: "silu" }),
  attention: (_, { g, heads }, at) => ({ sinks: g.weight(`${at}sinks`, [heads]) }),
  mlp({ g, config, inner }, at, x) {
    const [all, chosen] = counts(config);
    const choice = choose(g, linear(g, `${at}router`, x, all), chosen, true);
    const cols = x.cols;
    const [up, down] = [`${at}experts.gate_up_proj`, `${at}experts.down_proj`];
    const expert = (e: number): Expert => ({
      up: [g.weight(up, [all, cols, 2 * inner], true, { from: e * cols, rows: cols })],
      down: g.weight(down, [all, inner, cols], true, { from: e * inner, rows: inner }),
      up_bias: g.weight(`${up}_bias`, [all, 2 * inner], false, { from: e, rows: 1 }),
      down_bias: g.weight(`${down}_bias`, [all, cols], false, { from: e, rows: 1 }),
    });
    // gate · σ(1.702 gate) is what CLIP called its GELU.
    const limit = config.number("swiglu_limit", { default: 7 });
    return mixture(g, x, choice, each(all, expert), inner, Activation.quick_gelu, limit);
  },
});
