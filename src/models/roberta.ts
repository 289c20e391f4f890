import { Activation } from "../graph/op.ts";
import { classificationHead, maskedLMOf } from "../nn/heads.ts";
import type { Architecture } from "./architecture.ts";
import { bert, bertOptions, bertRules, QuestionAnswering, TokenClassification } from "./bert.ts";

/**
 * RoBERTa (arXiv:1907.11692), and XLM-RoBERTa (arXiv:1911.02116) and CamemBERT (arXiv:1911.03894), which differ in their data alone: BERT
 * whose positions count from pad_token_id + 1 on and skip padding.
 */
export const roberta: Architecture = {
  prefix: "roberta",
  rules: (config) => ({ ...bertRules(config), padded_positions: config.int("pad_token_id", { min: 0, default: 1 }) }),
  body: bert.body,
  heads: {
    MaskedLM: maskedLMOf(
      { dense: "lm_head.dense", norm: "lm_head.layer_norm", decoder: "lm_head.decoder", bias: "lm_head.bias" },
      (config) => ({ ...bertOptions(config), activation: Activation.gelu }),
    ),
    SequenceClassification: (g, config, body) => classificationHead(g, config, body.last_hidden_state, Activation.tanh),
    TokenClassification,
    QuestionAnswering,
  },
};
