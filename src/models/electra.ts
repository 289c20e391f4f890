import { Activation } from "../graph/op.ts";
import { linear } from "../nn/blocks.ts";
import { classificationHead, maskedLM } from "../nn/heads.ts";
import type { Architecture } from "./architecture.ts";
import { bertBody, bertEmbeddings, bertOptions, bertRules, QuestionAnswering, TokenClassification } from "./bert.ts";

/** ELECTRA (arXiv:2003.10555): BERT's layers over embeddings that may be narrower. */
export const electra: Architecture = {
  prefix: "electra",
  rules: bertRules,
  body(g, config, at) {
    const hidden_size = config.int("hidden_size");
    const x = bertEmbeddings(g, config, at, config.int("embedding_size", { default: 128 }));
    return bertBody(g, config, at, x.cols === hidden_size ? x : linear(g, `${at}embeddings_project`, x, hidden_size));
  },
  heads: {
    MaskedLM: (g, config, body, at) => {
      const names = {
        dense: "generator_predictions.dense",
        norm: "generator_predictions.LayerNorm",
        decoder: "generator_lm_head",
        bias: "generator_lm_head.bias",
        words: `${at}embeddings.word_embeddings`,
      };
      const width = config.int("embedding_size", { default: 128 });
      const { eps } = bertOptions(config);
      return maskedLM(g, config, names, body.last_hidden_state, { activation: Activation.gelu, eps, width });
    },
    SequenceClassification: (g, config, body) => classificationHead(g, config, body.last_hidden_state, Activation.gelu),
    TokenClassification,
    QuestionAnswering,
  },
};
