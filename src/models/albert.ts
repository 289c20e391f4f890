import { linear } from "../nn/blocks.ts";
import { type LayerNames, postNormLayer, stack } from "../nn/encoder.ts";
import { classifier, maskedLMOf, pooler, withPooler } from "../nn/heads.ts";
import type { Architecture } from "./architecture.ts";
import {
  bertEmbeddings,
  bertOptions,
  bertRules,
  embeddingSize,
  QuestionAnswering,
  TokenClassification,
} from "./bert.ts";

const LAYER: LayerNames = {
  query: "attention.query",
  key: "attention.key",
  value: "attention.value",
  output: "attention.dense",
  attention_norm: "attention.LayerNorm",
  up: "ffn",
  down: "ffn_output",
  norm: "full_layer_layer_norm",
};

/** ALBERT (arXiv:1909.11942): narrow embeddings, and layers that share their weights within a group. */
export const albert: Architecture = {
  prefix: "albert",
  rules: bertRules,
  body(g, config, at) {
    const options = bertOptions(config, "gelu_new");
    const layers = config.int("num_hidden_layers");
    const groups = config.int("num_hidden_groups", { max: layers, default: 1 });
    const inner = config.int("inner_group_num", { default: 1 });
    const embedded = bertEmbeddings(g, config, at, embeddingSize(config));
    const x = linear(g, `${at}encoder.embedding_hidden_mapping_in`, embedded, config.int("hidden_size"));
    const body = stack(x, layers * inner, (x, i) => {
      const group = Math.floor(Math.floor(i / inner) / (layers / groups));
      const layer = `${at}encoder.albert_layer_groups.${group}.albert_layers.${i % inner}.`;
      return postNormLayer(g, layer, LAYER, x, options);
    });
    return withPooler(g, `${at}pooler`, body);
  },
  heads: {
    MaskedLM: maskedLMOf(
      {
        dense: "predictions.dense",
        norm: "predictions.LayerNorm",
        decoder: "predictions.decoder",
        bias: "predictions.bias",
      },
      (config) => ({ ...bertOptions(config, "gelu_new"), width: embeddingSize(config) }),
    ),
    SequenceClassification: (g, config, { last_hidden_state, pooler_output }, at) =>
      classifier(g, config, pooler_output ?? pooler(g, `${at}pooler`, last_hidden_state)),
    TokenClassification,
    QuestionAnswering,
  },
};
