import type { Config } from "../format/config.ts";
import type { AttentionOptions, Graph, Value } from "../graph/graph.ts";
import { Pooling } from "../graph/op.ts";
import { configActivation, firstToken, layerNorm, linear } from "../nn/blocks.ts";
import { stack } from "../nn/encoder.ts";
import { classifier, decoder, dense, questionAnswering } from "../nn/heads.ts";
import { rotaryTable } from "../nn/rope.ts";
import type { Architecture } from "./architecture.ts";

const LAYER_TYPES = ["full_attention", "sliding_attention"] as const;

const norm = (g: Graph, config: Config, name: string, x: Value) =>
  layerNorm(g, name, x, config.number("norm_eps", { max: 1, default: 1e-5 }), config.bool("norm_bias"));

/** What stands before every classifier. */
function head(g: Graph, config: Config, x: Value): Value {
  const kind = configActivation(config, "classifier_activation", "gelu");
  return norm(g, config, "head.norm", dense(g, "head.dense", x, kind, x.cols, config.bool("classifier_bias")));
}

/** ModernBERT (arXiv:2412.13663): rotary positions, pre-norm, gated feed-forward; most layers see a window alone. */
export const modernbert: Architecture = {
  prefix: "model",
  rules: (config) => ({
    heads: config.int("num_attention_heads"),
    sizes: { input_ids: config.int("vocab_size") },
  }),
  body(g, config, at) {
    const hidden_size = config.int("hidden_size");
    const heads = config.int("num_attention_heads");
    const intermediate_size = config.int("intermediate_size");
    const count = config.int("num_hidden_layers");
    const activation = configActivation(config, "hidden_activation", "gelu");
    const attention_bias = config.bool("attention_bias");
    const mlp_bias = config.bool("mlp_bias");
    const every = config.int("global_attn_every_n_layers", { default: 3 });
    const given = config.strings("layer_types", LAYER_TYPES);
    const layer_types = Array.from({ length: count }, (_, i) => given[i] ?? LAYER_TYPES[+(i % every > 0)]);

    const half = Math.floor(config.int("local_attention", { default: 128 }) / 2);
    const window: Partial<AttentionOptions> = { left: half, right: half };
    // transformers 4 read a local theta of null as the global one.
    const local = config.raw.local_rope_theta === null ? "global_rope_theta" : "local_rope_theta";
    const table = (type: string, theta: string, otherwise: number) =>
      rotaryTable(g, config.rope(type, theta, otherwise), hidden_size / heads);
    const tables = {
      full_attention: table("full_attention", "global_rope_theta", 160_000),
      sliding_attention: table("sliding_attention", local, 10_000),
    };

    const words = g.weight(`${at}embeddings.tok_embeddings.weight`, [config.int("vocab_size"), hidden_size]);
    const x = norm(g, config, `${at}embeddings.norm`, g.embed(g.input("input_ids", "T"), words));
    const body = stack(x, count, (x, i) => {
      const layer = `${at}layers.${i}.`;
      const type = layer_types[i];
      const a = i ? norm(g, config, `${layer}attn_norm`, x) : x;
      const qkv = linear(g, `${layer}attn.Wqkv`, a, 3 * hidden_size, attention_bias);
      const [q, k, v] = [0, 1, 2].map((j) => g.columns(qkv, j * hidden_size, hidden_size));
      const [turned_q, turned_k] = [q, k].map((x) => g.rotary(x, tables[type], heads));
      const options = { heads, ...(type === "sliding_attention" && window) };
      const { out, probabilities } = g.attention(turned_q, turned_k, v, options);
      const y = g.add(x, linear(g, `${layer}attn.Wo`, out, hidden_size, attention_bias));
      const m = norm(g, config, `${layer}mlp_norm`, y);
      const both = linear(g, `${layer}mlp.Wi`, m, 2 * intermediate_size, mlp_bias);
      const [input, gate] = [0, 1].map((j) => g.columns(both, j * intermediate_size, intermediate_size));
      const inner = g.glu(input, gate, activation);
      return { x: g.add(y, linear(g, `${layer}mlp.Wo`, inner, hidden_size, mlp_bias)), probabilities };
    });
    const last_hidden_state = norm(g, config, `${at}final_norm`, body.last_hidden_state);
    return { ...body, last_hidden_state, hidden_states: body.hidden_states.with(-1, last_hidden_state) };
  },
  heads: {
    MaskedLM: (g, config, body, at) => {
      const bias = config.bool("decoder_bias", true) ? "decoder.bias" : undefined;
      const names = { decoder: "decoder", bias, words: `${at}embeddings.tok_embeddings` };
      return decoder(g, config, names, head(g, config, body.last_hidden_state));
    },
    SequenceClassification: (g, config, { last_hidden_state: x }) => {
      const mean = config.string("classifier_pooling", ["cls", "mean"], "cls") === "mean";
      const pooled = mean ? g.pool(x, Pooling.mean) : firstToken(g, x);
      return classifier(g, config, head(g, config, pooled));
    },
    TokenClassification: (g, config, body) => classifier(g, config, head(g, config, body.last_hidden_state)),
    QuestionAnswering: (g, config, body) => questionAnswering(g, "classifier", head(g, config, body.last_hidden_state)),
  },
};
