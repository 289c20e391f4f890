import type { Config } from "../format/config.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { configActivation, layerNorm, only } from "../nn/blocks.ts";
import { stack } from "../nn/encoder.ts";
import type { Architecture } from "./architecture.ts";
import { languageHead } from "./causal.ts";
import { generation } from "./generation.ts";

/** What GPT-2 calls Conv1D: a Linear whose weight is stored [in, out]. */
const conv = (g: Graph, name: string, x: Value, out: number) =>
  g.linear(x, g.weight(`${name}.weight`, [x.cols, out], true), g.weight(`${name}.bias`, [out]));

/** GPT-2 ("Language Models are Unsupervised Multitask Learners"): learned positions, norms before attention and feed-forward. */
export const gpt2: Architecture = {
  prefix: "transformer",
  generation,
  rules: (config) => ({
    heads: config.int(["n_head", "num_attention_heads"]),
    sizes: { input_ids: config.int("vocab_size"), position_ids: config.int(["n_positions", "n_ctx"]) },
  }),
  body(g, config, at) {
    only(config, { add_cross_attention: false });
    return gpt2Body(g, config, at);
  },
  heads: {
    CausalLM: (g, config, { last_hidden_state }, at) =>
      languageHead(g, config, last_hidden_state, at, { words: `${at}wte` }),
  },
  ignore: /(^|\.)(attn|crossattention)\.(bias|masked_bias)$/,
};

/** With a `memory` each layer also looks at what an encoder gave. */
export function gpt2Body(g: Graph, config: Config, at: string, memory?: Value) {
  only(config, { scale_attn_weights: true, scale_attn_by_inverse_layer_idx: false });
  const { heads, sizes } = gpt2.rules(config);
  const cross_attentions: Value[] = [];
  const hidden = config.int(["n_embd", "hidden_size"]);
  const inner = config.int("n_inner", { default: 4 * hidden });
  const eps = config.number("layer_norm_epsilon", { max: 1, default: 1e-5 });
  const kind = configActivation(config, "activation_function", "gelu_new");
  const table = (ids: string, name: string) =>
    g.embed(g.input(ids, "T"), g.weight(`${at}${name}.weight`, [sizes[ids], hidden]));
  const x = g.add(table("input_ids", "wte"), table("position_ids", "wpe"));
  const body = stack(x, config.int(["n_layer", "num_hidden_layers"]), (x, i) => {
    const layer = `${at}h.${i}.`;
    const qkv = conv(g, `${layer}attn.c_attn`, layerNorm(g, `${layer}ln_1`, x, eps), 3 * hidden);
    const [q, k, v] = [0, 1, 2].map((j) => g.columns(qkv, j * hidden, hidden));
    const { out, probabilities } = g.attention(q, g.cache(k), g.cache(v), { heads, right: 0 });
    let y = g.add(conv(g, `${layer}attn.c_proj`, out, hidden), x);
    if (memory) {
      const cross = `${layer}crossattention.`;
      const query = conv(g, `${cross}q_attn`, layerNorm(g, `${layer}ln_cross_attn`, y, eps), hidden);
      const kv = conv(g, `${cross}c_attn`, memory, 2 * hidden);
      const [key, value] = [0, 1].map((j) => g.cache(g.columns(kv, j * hidden, hidden)));
      const crossed = g.attention(query, key, value, { heads });
      cross_attentions.push(crossed.probabilities);
      y = g.add(conv(g, `${cross}c_proj`, crossed.out, hidden), y);
    }
    const m = g.activation(conv(g, `${layer}mlp.c_fc`, layerNorm(g, `${layer}ln_2`, y, eps), inner), kind);
    return { x: g.add(conv(g, `${layer}mlp.c_proj`, m, hidden), y), probabilities };
  });
  const last_hidden_state = layerNorm(g, `${at}ln_f`, body.last_hidden_state, eps);
  const hidden_states = body.hidden_states.with(-1, last_hidden_state);
  return { ...body, last_hidden_state, hidden_states, cross_attentions };
}
