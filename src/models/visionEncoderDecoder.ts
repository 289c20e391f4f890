import type { Config } from "../format/config.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { linear } from "../nn/blocks.ts";
import { tensor2tensor } from "../nn/sinusoids.ts";
import { entry } from "../options.ts";
import type { InputRules } from "../runtime/batch.ts";
import type { Architecture } from "./architecture.ts";
import { bartLayers, bartRules, type Family } from "./bart.ts";
import { languageHead } from "./causal.ts";
import { deit } from "./deit.ts";
import { dinov2 } from "./dinov2.ts";
import { bothSides, type Layers, sides } from "./encoderDecoder.ts";
import { gpt2, gpt2Body } from "./gpt2.ts";
import { vit } from "./vit.ts";

const ENCODERS: { readonly [model_type: string]: Architecture } = { vit, deit, dinov2 };

/** A decoder that looks at what an encoder gave: its layers, and where its words are. */
interface Decoder {
  rules(config: Config): InputRules;
  layers(g: Graph, config: Config, memory: Value): Layers & { readonly cross_attentions: readonly Value[] };
  readonly words: string;
  readonly own: string;
}

/** TrOCR's decoder (arXiv:2109.10282) is BART's, but for options. */
const trocrFamily = (config: Config): Family => ({
  embedding_norm: config.bool("layernorm_embedding", true),
  ...(!config.bool("use_learned_position_embeddings", true) && {
    positions: { first: 2, pad: true, compute: tensor2tensor },
  }),
});

const DECODERS: { readonly [model_type: string]: Decoder } = {
  gpt2: {
    rules: (config) => ({ ...gpt2.rules(config), drop_first: true }),
    layers: (g, config, memory) => gpt2Body(g, config, "decoder.transformer.", memory),
    words: "decoder.transformer.wte",
    own: "decoder.lm_head",
  },
  trocr: {
    rules: (config) => bartRules(config, "decoder", trocrFamily(config)),
    layers: (g, config, memory) => bartLayers(g, config, "decoder.model.", "decoder", trocrFamily(config), memory),
    words: "decoder.model.decoder.embed_tokens",
    own: "decoder.output_projection",
  },
};

/** A side's config and what is known of its kind. @throws UnsupportedOptionError */
function part<T>(config: Config, side: "encoder" | "decoder", kinds: { readonly [model_type: string]: T }) {
  const own = config.sub(side);
  return { own, kind: entry(kinds, own.model_type, `${own.file}: model_type`) };
}

/** An encoder of pictures and a decoder that writes about them (arXiv:2109.10282, among others). */
export const visionEncoderDecoder: Architecture = {
  prefix: "model",
  ...sides(
    ({ attention_mask: _, ...inputs }, config) => {
      const { own, kind } = part(config, "encoder", ENCODERS);
      return kind.layOut!(inputs, own);
    },
    (config) => {
      const { own, kind } = part(config, "decoder", DECODERS);
      return kind.rules(own);
    },
    (config, batch) => {
      const { own, kind } = part(config, "encoder", ENCODERS);
      return kind.dims!(own, batch, undefined);
    },
  ),
  body(g, config) {
    const { own: source, kind: encoder } = part(config, "encoder", ENCODERS);
    const { own, kind: decoder } = part(config, "decoder", DECODERS);
    const seen = encoder.body(g.side("encoder"), source, "encoder.") as Layers;
    const { last_hidden_state: last } = seen;
    const projected = g.has("enc_to_dec_proj.weight");
    const width = projected ? own.int(["hidden_size", "n_embd", "d_model"]) : 0;
    const made = decoder.layers(g, own, projected ? linear(g, "enc_to_dec_proj", last, width) : last);
    return {
      ...bothSides(seen, made, made.cross_attentions),
      ...languageHead(g, own, made.last_hidden_state, "", decoder),
    };
  },
  heads: {},
  ignore:
    /^encoder\.(pooler|classifier)\.|^encoder\.embeddings\.mask_token$|^decoder\.lm_head\.|(^|\.)(attn|crossattention)\.(bias|masked_bias)$/,
};
