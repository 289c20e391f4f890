import { Activation } from "../graph/op.ts";
import { linear } from "../nn/blocks.ts";
import { classificationHead, maskedLMOf } from "../nn/heads.ts";
import type { Architecture } from "./architecture.ts";
import {
  bertBody,
  bertEmbeddings,
  bertOptions,
  bertRules,
  embeddingSize,
  QuestionAnswering,
  TokenClassification,
} from "./bert.ts";

/** ELECTRA (arXiv:2003.10555): BERT's layers over embeddings that may be narrower. */
export const electra: Architecture = {
  prefix: "electra",
  rules: bertRules,
  body(g, config, at) {
    const hidden_size = config.int("hidden_size");
    const x = bertEmbeddings(g, config, at, embeddingSize(config));
    return bertBody(g, config, at, x.cols === hidden_size ? x : linear(g, `${at}embeddings_project`, x, hidden_size));
  },
  heads: {
    MaskedLM: maskedLMOf(
      {
        dense: "generator_predictions.dense",
        norm: "generator_predictions.LayerNorm",
        decoder: "generator_lm_head",
        bias: "generator_lm_head.bias",
      },
      (config) => ({ ...bertOptions(config), activation: Activation.gelu, width: embeddingSize(config) }),
    ),
    SequenceClassification: (g, config, body) => classificationHead(g, config, body.last_hidden_state, Activation.gelu),
    TokenClassification,
    QuestionAnswering,
  },
};
