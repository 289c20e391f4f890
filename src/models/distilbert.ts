import { Activation } from "../graph/op.ts";
import { configActivation, embeddings, layerNorm } from "../nn/blocks.ts";
import { type LayerNames, postNormLayer, stack } from "../nn/encoder.ts";
import { classifier, maskedLMOf, pooler } from "../nn/heads.ts";
import type { Architecture } from "./architecture.ts";
import { QuestionAnswering, TokenClassification } from "./bert.ts";

const eps = 1e-12;

const LAYER: LayerNames = {
  query: "attention.q_lin",
  key: "attention.k_lin",
  value: "attention.v_lin",
  output: "attention.out_lin",
  attention_norm: "sa_layer_norm",
  up: "ffn.lin1",
  down: "ffn.lin2",
  norm: "output_layer_norm",
};

/** DistilBERT (arXiv:1910.01108): BERT with half the layers, no token types and no pooler. */
export const distilbert: Architecture = {
  prefix: "distilbert",
  rules: (config) => ({
    heads: config.int("n_heads"),
    sizes: {
      input_ids: config.int("vocab_size"),
      position_ids: config.int("max_position_embeddings", { default: 512 }),
    },
  }),
  body(g, config, at) {
    const x = embeddings(g, at, this.rules(config).sizes, config.int("dim"));
    const options = {
      attention: { heads: config.int("n_heads") },
      intermediate_size: config.int("hidden_dim"),
      activation: configActivation(config, "activation", "gelu"),
      eps,
    };
    return stack(layerNorm(g, `${at}embeddings.LayerNorm`, x, eps), config.int("n_layers"), (x, i) => {
      return postNormLayer(g, `${at}transformer.layer.${i}.`, LAYER, x, options);
    });
  },
  heads: {
    MaskedLM: maskedLMOf(
      {
        dense: "vocab_transform",
        norm: "vocab_layer_norm",
        decoder: "vocab_projector",
        bias: "vocab_projector.bias",
      },
      (config) => ({ activation: configActivation(config, "activation", "gelu"), eps }),
    ),
    SequenceClassification: (g, config, body) =>
      classifier(g, config, pooler(g, "pre_classifier", body.last_hidden_state, Activation.relu)),
    TokenClassification,
    QuestionAnswering,
  },
};
