import { Activation } from "../graph/op.ts";
import { configActivation, embeddings, layerNorm } from "../nn/blocks.ts";
import { postNormLayer, stack } from "../nn/encoder.ts";
import { classifier, maskedLM, pooler } from "../nn/heads.ts";
import type { Architecture } from "./architecture.ts";
import { QuestionAnswering, TokenClassification } from "./bert.ts";

const eps = 1e-12;

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
      const layer = `${at}transformer.layer.${i}.`;
      const names = {
        query: `${layer}attention.q_lin`,
        key: `${layer}attention.k_lin`,
        value: `${layer}attention.v_lin`,
        output: `${layer}attention.out_lin`,
        attention_norm: `${layer}sa_layer_norm`,
        up: `${layer}ffn.lin1`,
        down: `${layer}ffn.lin2`,
        norm: `${layer}output_layer_norm`,
      };
      return postNormLayer(g, names, x, options);
    });
  },
  heads: {
    MaskedLM: (g, config, body, at) => {
      const names = {
        dense: "vocab_transform",
        norm: "vocab_layer_norm",
        decoder: "vocab_projector",
        bias: "vocab_projector.bias",
        words: `${at}embeddings.word_embeddings`,
      };
      const activation = configActivation(config, "activation", "gelu");
      return maskedLM(g, config, names, body.last_hidden_state, { activation, eps });
    },
    SequenceClassification: (g, config, body) =>
      classifier(g, config, "classifier", pooler(g, "pre_classifier", body.last_hidden_state, Activation.relu)),
    TokenClassification,
    QuestionAnswering,
  },
};
