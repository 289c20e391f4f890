import { configActivation, layerNorm, linear } from "../nn/blocks.ts";
import { stack } from "../nn/encoder.ts";
import { rotaryTable } from "../nn/rope.ts";
import type { Architecture } from "./architecture.ts";
import { languageHead } from "./causal.ts";

/** GPT-NeoX and Pythia (arXiv:2204.06745): part of each head is rotated, attention and feed-forward read the same input. */
export const gptNeox: Architecture = {
  prefix: "gpt_neox",
  causal: true,
  rules: (config) => ({ heads: config.int("num_attention_heads"), sizes: { input_ids: config.int("vocab_size") } }),
  body(g, config, at) {
    const { heads, sizes } = this.rules(config);
    const hidden = config.int("hidden_size");
    const head_dim = hidden / heads;
    const eps = config.number("layer_norm_eps", { max: 1, default: 1e-5 });
    const kind = configActivation(config, "hidden_act", "gelu");
    const bias = config.bool("attention_bias", true);
    const rope = config.rope("", ["rotary_emb_base", "rope_theta"]);
    const part = config.has("rope_parameters")
      ? rope.partial_rotary_factor
      : config.number("rotary_pct", { max: 1, default: 0.25 });
    const table = rotaryTable(g, { ...rope, partial_rotary_factor: part }, head_dim, config);
    const x = g.embed(g.input("input_ids", "T"), g.weight(`${at}embed_in.weight`, [sizes.input_ids, hidden]));
    const body = stack(x, config.int("num_hidden_layers"), (x, i) => {
      const layer = `${at}layers.${i}.`;
      // Rows of the projection lie by head: the query's, the key's, the value's.
      const a = layerNorm(g, `${layer}input_layernorm`, x, eps);
      const qkv = linear(g, `${layer}attention.query_key_value`, a, 3 * hidden, bias);
      const [q, k, v] = [0, 1, 2].map((j) =>
        g.concat(Array.from({ length: heads }, (_, h) => g.columns(qkv, (3 * h + j) * head_dim, head_dim))),
      );
      const { out, probabilities } = g.attention(
        g.rotary(q, table, heads),
        g.cache(g.rotary(k, table, heads)),
        g.cache(v),
        { heads, right: 0 },
      );
      const attended = linear(g, `${layer}attention.dense`, out, hidden, bias);
      const y = g.add(attended, x);
      const parallel = config.bool("use_parallel_residual", true);
      const m = layerNorm(g, `${layer}post_attention_layernorm`, parallel ? x : y, eps);
      const inner = linear(g, `${layer}mlp.dense_h_to_4h`, m, config.int("intermediate_size"));
      return { x: g.add(linear(g, `${layer}mlp.dense_4h_to_h`, g.activation(inner, kind), hidden), y), probabilities };
    });
    const last_hidden_state = layerNorm(g, `${at}final_layer_norm`, body.last_hidden_state, eps);
    return { ...body, last_hidden_state, hidden_states: body.hidden_states.with(-1, last_hidden_state) };
  },
  heads: {
    CausalLM: (g, config, { last_hidden_state }, at) =>
      languageHead(g, config, last_hidden_state, at, { words: `${at}embed_in`, own: "embed_out" }),
  },
  ignore: /(^|\.)attention\.(bias|masked_bias|rotary_emb\.inv_freq)$/,
};
