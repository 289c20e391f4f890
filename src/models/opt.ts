import type { Config } from "../format/config.ts";
import { linear, only } from "../nn/blocks.ts";
import { llamaLike } from "./causal.ts";

const enable_bias = ["enable_bias", true] as const;
const before = (config: Config) => config.bool("do_layer_norm_before", true);
const embedding_size = (config: Config) => config.int("word_embed_proj_dim", { default: config.int("hidden_size") });

/** OPT (arXiv:2205.01068): learned positions from the table's third row on, counted without padding; LayerNorms, before or (350m) after. */
export const opt = llamaLike({
  prefix: "model.decoder",
  names: { output: "out_proj", mlp: "", up: "fc1", down: "fc2" },
  options: { inner: "ffn_dim", eps: [] },
  check: (config) => only(config, { layer_norm_elementwise_affine: true, _remove_final_layer_norm: false }),
  bias: { qkv: enable_bias, output: enable_bias, mlp: enable_bias },
  norm: "layer",
  norms: (config) =>
    before(config)
      ? { attention: "self_attn_layer_norm", feed: "final_layer_norm" }
      : { added: "self_attn_layer_norm", out: "final_layer_norm" },
  activation: ["activation_function", "relu"],
  mlp: "plain",
  embedding_size,
  rules: (config) => ({ sizes: { position_ids: config.int("max_position_embeddings") }, visible_positions: true }),
  embedded({ g, config, hidden_size }, x, at) {
    const rows = config.int("max_position_embeddings");
    const table = g.weight(`${at}embed_positions.weight`, [rows + 2, hidden_size], false, { from: 2, rows });
    const wide = x.cols === hidden_size ? x : linear(g, `${at}project_in`, x, hidden_size, false);
    return g.add(wide, g.embed(g.input("position_ids", "T"), table));
  },
  finished({ g, config, norm }, x, at) {
    const y = before(config) ? norm(`${at}final_layer_norm`, x) : x;
    const size = embedding_size(config);
    return size === x.cols ? y : linear(g, `${at}project_out`, y, size, false);
  },
  rope: () => undefined,
});
