import type { Config } from "../format/config.ts";
import { Activation } from "../graph/op.ts";
import { configActivation, embeddings, layerNorm, linear, only } from "../nn/blocks.ts";
import { stack } from "../nn/encoder.ts";
import { classifier, maskedLMOf, pooler } from "../nn/heads.ts";
import { rotaryTable } from "../nn/rope.ts";
import type { Architecture } from "./architecture.ts";
import { TokenClassification } from "./bert.ts";

/** GPT-2's names of the sizes are those of the configs on the hub; transformers has BERT's. */
const HIDDEN = ["hidden_size", "n_embd"];
const HEADS = ["num_attention_heads", "n_head"];
const LAYERS = ["num_hidden_layers", "n_layer"];
const INNER = ["intermediate_size", "n_inner"];

/** What the hub and transformers call the modules on disk, and transformers in its module tree. */
const HUB = {
  norm: "emb_ln",
  layers: "encoder.layers",
  output: "attn.out_proj",
  attention_norm: "norm1",
  gate: "mlp.fc12",
  up: "mlp.fc11",
  down: "mlp.fc2",
  mlp_norm: "norm2",
};
const TREE: typeof HUB = {
  norm: "embeddings.LayerNorm",
  layers: "layers",
  output: "self_attn.o_proj",
  attention_norm: "post_attention_layernorm",
  gate: "mlp.gate_proj",
  up: "mlp.up_proj",
  down: "mlp.down_proj",
  mlp_norm: "post_mlp_layernorm",
};

const GATED = { swiglu: Activation.silu, geglu: Activation.gelu };

const activationOf = (config: Config) =>
  config.has("activation_function")
    ? GATED[config.string("activation_function", Object.keys(GATED) as (keyof typeof GATED)[])]
    : configActivation(config, "hidden_act", "silu");

const epsOf = (config: Config) => config.number(["layer_norm_eps", "layer_norm_epsilon"], { max: 1, default: 1e-12 });

/** Nomic BERT (arXiv:2402.01613): BERT with rotary positions and a gated feed-forward, without biases. */
export const nomicBert: Architecture = {
  prefix: "nomic_bert",
  rules: (config) => ({
    heads: config.int(HEADS),
    sizes: {
      input_ids: config.int("vocab_size"),
      token_type_ids: config.int("type_vocab_size", { default: 2 }),
    },
  }),
  body(g, config, at) {
    only(config, {
      prenorm: false,
      parallel_block: false,
      causal: false,
      use_rms_norm: false,
      scale_attn_weights: true,
      scale_attn_by_inverse_layer_idx: false,
      rotary_emb_fraction: 1,
      rotary_emb_scale_base: null,
      rotary_scaling_factor: null,
    });
    const hidden_size = config.int(HIDDEN);
    const heads = config.int(HEADS);
    const head_dim = config.int("head_dim", { default: hidden_size / heads });
    const width = heads * head_dim;
    const intermediate_size = config.int(INNER);
    const activation = activationOf(config);
    const eps = epsOf(config);
    const interleaved = config.bool("rotary_emb_interleaved");
    const table = rotaryTable(g, config.rope("", "rotary_emb_base", 1000), head_dim);

    const hub = g.has(`${at}${HUB.norm}.weight`);
    const names = hub ? HUB : TREE;
    const [qkv_bias, inner_bias, down_bias] = ["qkv_proj_bias", "mlp_fc1_bias", "mlp_fc2_bias"].map((b) =>
      config.bool(b),
    );
    const sum = embeddings(g, at, this.rules(config).sizes, hidden_size);
    return stack(layerNorm(g, at + names.norm, sum, eps), config.int(LAYERS), (x, i) => {
      const layer = `${at}${names.layers}.${i}.`;
      const qkv = hub && linear(g, `${layer}attn.Wqkv`, x, 3 * width, qkv_bias);
      const [q, k, v] = [..."qkv"].map((n, j) =>
        qkv ? g.columns(qkv, j * width, width) : linear(g, `${layer}self_attn.${n}_proj`, x, width, qkv_bias),
      );
      const [turned_q, turned_k] = [q, k].map((x) => g.rotary(x, table, heads, interleaved));
      const { out, probabilities } = g.attention(turned_q, turned_k, v, { heads });
      const attended = linear(g, layer + names.output, out, hidden_size, qkv_bias);
      const y = layerNorm(g, layer + names.attention_norm, g.add(attended, x), eps);
      const [gate, up] = [names.gate, names.up].map((n) => linear(g, layer + n, y, intermediate_size, inner_bias));
      const lowered = linear(g, layer + names.down, g.glu(gate, up, activation), hidden_size, down_bias);
      return { x: layerNorm(g, layer + names.mlp_norm, g.add(lowered, y), eps), probabilities };
    });
  },
  heads: {
    MaskedLM: maskedLMOf(
      {
        dense: "cls.predictions.transform.dense",
        norm: "cls.predictions.transform.layer_norm",
        decoder: "cls.predictions.decoder",
        bias: "cls.predictions.bias",
      },
      (config) => ({ activation: activationOf(config), eps: epsOf(config) }),
    ),
    SequenceClassification: (g, config, body, at) =>
      classifier(g, config, pooler(g, `${at}pooler.dense`, body.last_hidden_state)),
    TokenClassification,
  },
};
