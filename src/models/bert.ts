import type { Config } from "../format/config.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { Activation } from "../graph/op.ts";
import { configActivation, embedding, firstToken, layerNorm } from "../nn/blocks.ts";
import { postNormLayer, stack } from "../nn/encoder.ts";
import { classifier, dense, maskedLM, questionAnswering } from "../nn/heads.ts";
import type { Architecture, Body } from "./architecture.ts";

/** BERT (arXiv:1810.04805): learned absolute positions, post-norm layers. */
export const bert: Architecture = {
  prefix: "bert",
  rules: bertRules,
  body(g, config, at) {
    const body = bertBody(g, config, at, bertEmbeddings(g, config, at, config.int("hidden_size")));
    if (!g.has(`${at}pooler.dense.weight`)) return body;
    return {
      ...body,
      pooler_output: dense(g, `${at}pooler.dense`, firstToken(g, body.last_hidden_state), Activation.tanh),
    };
  },
  heads: {
    MaskedLM: (g, config, { last_hidden_state }, at) => {
      const cls = "cls.predictions";
      const names = {
        dense: `${cls}.transform.dense`,
        norm: `${cls}.transform.LayerNorm`,
        decoder: `${cls}.decoder`,
        bias: `${cls}.bias`,
        words: `${at}embeddings.word_embeddings`,
      };
      const activation = configActivation(config, "hidden_act", "gelu");
      return maskedLM(g, config, names, last_hidden_state, { activation, eps: bertEps(config) });
    },
    SequenceClassification: (g, config, { last_hidden_state, pooler_output }, at) => {
      const pooled = pooler_output ?? dense(g, `${at}pooler.dense`, firstToken(g, last_hidden_state), Activation.tanh);
      return classifier(g, config, "classifier", pooled);
    },
    TokenClassification: (g, config, body) => classifier(g, config, "classifier", body.last_hidden_state),
    QuestionAnswering: (g, _config, body) => questionAnswering(g, "qa_outputs", body.last_hidden_state),
  },
};

export const bertEps = (config: Config) => config.number("layer_norm_eps", { max: 1, default: 1e-12 });

export function bertRules(config: Config) {
  return {
    heads: config.int("num_attention_heads"),
    sizes: {
      input_ids: config.int("vocab_size"),
      token_type_ids: config.int("type_vocab_size", { default: 2 }),
      position_ids: config.int("max_position_embeddings", { default: 512 }),
    },
  };
}

/** LayerNorm(word + type + position), `width` wide. */
export function bertEmbeddings(g: Graph, config: Config, at: string, width: number): Value {
  const { sizes } = bertRules(config);
  config.string("position_embedding_type", ["absolute"], "absolute");
  const table = (name: string, ids: keyof typeof sizes) =>
    embedding(g, `${at}embeddings.${name}`, g.input(ids, "T"), sizes[ids], width);
  const words = table("word_embeddings", "input_ids");
  const typed = g.add(words, table("token_type_embeddings", "token_type_ids"));
  const x = g.add(typed, table("position_embeddings", "position_ids"));
  return layerNorm(g, `${at}embeddings.LayerNorm`, x, bertEps(config));
}

/** The layers, under the names that BERT gave them and others kept. */
export function bertBody(g: Graph, config: Config, at: string, x: Value): Body {
  const options = {
    attention: { heads: config.int("num_attention_heads") },
    intermediate_size: config.int("intermediate_size"),
    activation: configActivation(config, "hidden_act", "gelu"),
    eps: bertEps(config),
  };
  config.bool("is_decoder") && config.string("is_decoder", ["false"]); // a causal BERT is another model
  return stack(x, config.int("num_hidden_layers"), (x, i) => {
    const layer = `${at}encoder.layer.${i}.`;
    const names = {
      query: `${layer}attention.self.query`,
      key: `${layer}attention.self.key`,
      value: `${layer}attention.self.value`,
      output: `${layer}attention.output.dense`,
      attention_norm: `${layer}attention.output.LayerNorm`,
      up: `${layer}intermediate.dense`,
      down: `${layer}output.dense`,
      norm: `${layer}output.LayerNorm`,
    };
    return postNormLayer(g, names, x, options);
  });
}
