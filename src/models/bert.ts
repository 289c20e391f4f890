import type { Config } from "../format/config.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { configActivation, embeddings, layerNorm, only } from "../nn/blocks.ts";
import { type LayerNames, postNormLayer, stack } from "../nn/encoder.ts";
import { classifier, maskedLMOf, pooler, questionAnswering, withPooler } from "../nn/heads.ts";
import type { InputRules } from "../runtime/batch.ts";
import type { Architecture, Body } from "./architecture.ts";

/** The names of a layer's parts, which BERT's heirs kept in part. */
export const bertNames: LayerNames = {
  query: "attention.self.query",
  key: "attention.self.key",
  value: "attention.self.value",
  output: "attention.output.dense",
  attention_norm: "attention.output.LayerNorm",
  up: "intermediate.dense",
  down: "output.dense",
  norm: "output.LayerNorm",
};

/** BERT (arXiv:1810.04805): learned absolute positions, post-norm layers. */
export const bert: Architecture = {
  prefix: "bert",
  rules: bertRules,
  body(g, config, at) {
    const x = bertEmbeddings(g, config, at, config.int("hidden_size"));
    return withPooler(g, `${at}pooler.dense`, bertBody(g, config, at, x));
  },
  heads: {
    MaskedLM: maskedLMOf(
      {
        dense: "cls.predictions.transform.dense",
        norm: "cls.predictions.transform.LayerNorm",
        decoder: "cls.predictions.decoder",
        bias: "cls.predictions.bias",
      },
      (config) => bertOptions(config),
    ),
    SequenceClassification: (g, config, { last_hidden_state, pooler_output }, at) =>
      classifier(g, config, pooler_output ?? pooler(g, `${at}pooler.dense`, last_hidden_state)),
    TokenClassification: (g, config, body) => classifier(g, config, body.last_hidden_state),
    QuestionAnswering: (g, _config, body) => questionAnswering(g, "qa_outputs", body.last_hidden_state),
  },
};

/** The heads over every token, which BERT's heirs have under the same names. */
export const { TokenClassification, QuestionAnswering } = bert.heads;

export function bertRules(config: Config): InputRules {
  return {
    heads: config.int("num_attention_heads"),
    sizes: {
      input_ids: config.int("vocab_size"),
      token_type_ids: config.int("type_vocab_size", { default: 2 }),
      position_ids: config.int("max_position_embeddings", { default: 512 }),
    },
  };
}

/** Embeddings of ALBERT and ELECTRA, which may be narrower than their layers. */
export const embeddingSize = (config: Config) => config.int("embedding_size", { default: 128 });

/** What all layers share. */
export function bertOptions(config: Config, activation = "gelu") {
  only(config, { is_decoder: false, position_embedding_type: "absolute" });
  return {
    attention: { heads: config.int("num_attention_heads") },
    intermediate_size: config.int("intermediate_size"),
    activation: configActivation(config, "hidden_act", activation),
    eps: config.number("layer_norm_eps", { max: 1, default: 1e-12 }),
  };
}

/** LayerNorm(word + type + position), `width` wide, of those tables that `sizes` names. */
export function bertEmbeddings(g: Graph, config: Config, at: string, width: number, { sizes } = bertRules(config)) {
  return layerNorm(g, `${at}embeddings.LayerNorm`, embeddings(g, at, sizes, width), bertOptions(config).eps);
}

/** The layers, under the names that BERT gave them and others kept. */
export function bertBody(g: Graph, config: Config, at: string, x: Value): Body {
  const options = bertOptions(config);
  return stack(x, config.int("num_hidden_layers"), (x, i) =>
    postNormLayer(g, `${at}encoder.layer.${i}.`, bertNames, x, options),
  );
}
