import type { Graph, Value } from "../graph/graph.ts";
import { configActivation, layerNorm, linear } from "../nn/blocks.ts";
import { stack } from "../nn/encoder.ts";
import type { Architecture } from "./architecture.ts";
import { languageHead } from "./causal.ts";
import { generation } from "./generation.ts";

/** A feed-forward layer that PyTorch's code calls a convolution: its kernel is one item wide. */
const conv = (g: Graph, name: string, x: Value) =>
  g.linear(x, g.weight(`${name}.weight`, [x.cols, x.cols, 1]), g.weight(`${name}.bias`, [x.cols]));

/**
 * SASRec (arXiv:1808.09781) as github.com/pmixer/SASRec.pytorch has it: `input_ids` are items, 0 is none; `logits` are scores of every
 * item as the next one after each position.
 */
export const sasrec: Architecture = {
  prefix: "sasrec",
  generation,
  // The positions' table begins with a row for item 0, which counts as a place all the same.
  rules: (config) => ({
    heads: config.int("num_attention_heads"),
    sizes: { input_ids: config.int("vocab_size"), position_ids: config.int("max_position_embeddings") + 1 },
    padded_positions: 0,
    padding_counts: true,
  }),
  body(g, config, at) {
    const { heads, sizes } = this.rules(config);
    const hidden = config.int("hidden_size");
    const eps = config.number("layer_norm_eps", { max: 1, default: 1e-8 });
    const kind = configActivation(config, "hidden_act", "relu");
    const first = config.bool("norm_first");
    const table = (ids: string, name: string, scale?: number) =>
      g.embed(g.input(ids, "T"), g.weight(`${at}${name}.weight`, [sizes[ids], hidden]), scale);
    const scale = config.bool("scale_embedding", true) ? Math.fround(Math.sqrt(hidden)) : 1;
    const x = g.add(table("input_ids", "item_emb", scale), table("position_ids", "pos_emb"));
    const layers = stack(x, config.int("num_hidden_layers"), (x, i) => {
      const norm = (name: string, x: Value) => layerNorm(g, `${at}${name}_layernorms.${i}`, x, eps);
      const a = first ? norm("attention", x) : x;
      const name = `${at}attention_layers.${i}.`;
      const weight = g.weight(`${name}in_proj_weight`, [3 * hidden, hidden]);
      const qkv = g.linear(a, weight, g.weight(`${name}in_proj_bias`, [3 * hidden]));
      const [q, k, v] = [0, 1, 2].map((j) => g.columns(qkv, j * hidden, hidden));
      const { out, probabilities } = g.attention(q, g.cache(k), g.cache(v), { heads, right: 0 });
      const attended = g.add(linear(g, `${name}out_proj`, out, hidden), x);
      const y = first ? attended : norm("attention", attended);
      const ffn = `${at}forward_layers.${i}.conv`;
      const inner = g.activation(conv(g, `${ffn}1`, first ? norm("forward", y) : y), kind);
      const z = g.add(conv(g, `${ffn}2`, inner), y);
      return { x: first ? z : norm("forward", z), probabilities };
    });
    const last_hidden_state = layerNorm(g, `${at}last_layernorm`, layers.last_hidden_state, eps);
    const scores = languageHead(g, config, last_hidden_state, at, { words: `${at}item_emb` });
    return { ...layers, last_hidden_state, ...scores };
  },
  heads: {},
};
