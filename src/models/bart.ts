import type { Config } from "../format/config.ts";
import type { Encode } from "../generate/encoderPrompt.ts";
import type { Dims, Graph, Value } from "../graph/graph.ts";
import { configActivation, layerNorm, linear } from "../nn/blocks.ts";
import { stack } from "../nn/encoder.ts";
import { sinusoids, tensor2tensor } from "../nn/sinusoids.ts";
import { type InputRules, layOut } from "../runtime/batch.ts";
import type { Architecture } from "./architecture.ts";
import { languageHead } from "./causal.ts";
import { bothSides, sides } from "./encoderDecoder.ts";

/** What an encoder-decoder of BART's kind does otherwise than BART. Every flag is a line of its modeling file. */
export interface Family {
  /** Norms before attention and feed-forward, and one behind the last layer. */
  readonly pre_norm?: boolean;
  /** A norm over the embeddings. */
  readonly embedding_norm?: boolean;
  /** Keys are projected without bias. */
  readonly plain_keys?: boolean;
  readonly positions?: Positions;
  readonly activation?: string;
  /** What the encoder reads where that is no text: its first layer's input, and how the host lays it out. */
  readonly source?: {
    embed(g: Graph, config: Config, at: string): Value;
    layOut: Encode;
    dims(config: Config, batch: number): Dims;
  };
}

/** Learned positions: those of a sequence's tokens begin in row `first` of their table. Others are computed; `pad`: ids count from there on. */
export interface Positions {
  readonly first?: number;
  readonly pad?: boolean;
  /** How many a side has. */
  readonly most?: (config: Config) => number;
  readonly compute?: (rows: number, width: number, pad: number) => Float32Array;
}

/** BART's: the first two rows of the table are not used. */
const LEARNED: Positions = { first: 2 };

type Side = "encoder" | "decoder";
const EPS = 1e-5;

const heads = (config: Config, side: Side) => config.int([`${side}_attention_heads`, "num_attention_heads"]);

const padOf = (config: Config) => config.int("pad_token_id", { min: 0, default: 1 });

export function bartRules(config: Config, side: Side, { positions = LEARNED }: Family): InputRules {
  const { first = 0, pad, most = (config) => config.int("max_position_embeddings", { default: 1024 }) } = positions;
  const vocab = config.int("vocab_size");
  return {
    heads: heads(config, side),
    sizes: {
      input_ids: side === "decoder" ? config.int("decoder_vocab_size", { default: vocab }) : vocab,
      position_ids: most(config) + first,
    },
    ...(pad ? { padded_positions: padOf(config) } : { first_position: first }),
    drop_first: true,
  };
}

/** An encoder-decoder of BART's kind (arXiv:1910.13461). */
export function bartLike(family: Family): Architecture {
  return {
    prefix: "model",
    ...sides(
      family.source?.layOut ?? ((inputs, config) => layOut(inputs, bartRules(config, "encoder", family))),
      (config) => bartRules(config, "decoder", family),
      family.source?.dims,
    ),
    body(g, config, at) {
      const build = (g: Graph, side: Side, memory?: Value) => bartLayers(g, config, at, side, family, memory);
      const encoder = build(g.side("encoder"), "encoder");
      const decoder = build(g, "decoder", encoder.last_hidden_state);
      return bothSides(encoder, decoder, decoder.cross_attentions);
    },
    heads: {
      ConditionalGeneration: (g, config, { last_hidden_state }, at) =>
        languageHead(g, config, last_hidden_state, at, {
          words: words(g, at, "decoder"),
          vocab_size: bartRules(config, "decoder", family).sizes.input_ids,
          logits_bias: "final_logits_bias",
        }),
    },
    ignore:
      /(^|\.)(encoder|decoder)\.embed_tokens\.weight$|embed_positions\.weights$|^(lm_head|proj_out)\.weight$|^final_logits_bias$/,
  };
}

/** The name of the words' table: both sides share it, and files that hold shared tensors once have it under any of its names. */
function words(g: Graph, at: string, side: Side): string {
  const names = [`${side}.embed_tokens`, "shared", "encoder.embed_tokens", "decoder.embed_tokens"].map((n) => at + n);
  return names.find((name) => g.has(`${name}.weight`)) ?? `${at}shared`;
}

export function bartLayers(
  g: Graph,
  config: Config,
  at: string,
  side: Side,
  family: Family,
  memory: Value | undefined,
) {
  const width = config.int("d_model");
  const { sizes, heads } = bartRules(config, side, family);
  const inner = config.int(`${side}_ffn_dim`);
  const kind = configActivation(config, "activation_function", family.activation ?? "gelu");
  const scale = config.bool("scale_embedding") ? Math.sqrt(width) : 1;
  const norm = (name: string, x: Value) => layerNorm(g, name, x, EPS);
  /** x and what a block makes of it, normalised before or after. */
  const residual = (name: string, x: Value, block: (x: Value) => Value) =>
    family.pre_norm ? g.add(block(norm(name, x)), x) : norm(name, g.add(block(x), x));

  const embedded = () => {
    const ids = g.weight(`${words(g, at, side)}.weight`, [sizes.input_ids, width]);
    const { compute } = family.positions ?? LEARNED;
    const positions = `${at}${side}.embed_positions.weight`;
    // Some files hold what can be computed.
    const table =
      compute && !g.has(positions)
        ? g.constant(compute(sizes.position_ids, width, padOf(config)), sizes.position_ids)
        : g.weight(positions, [sizes.position_ids, width]);
    return g.add(g.embed(g.input("input_ids", "T"), ids, scale), g.embed(g.input("position_ids", "T"), table));
  };
  const sum = family.source && side === "encoder" ? family.source.embed(g, config, `${at}encoder.`) : embedded();
  const first = family.embedding_norm ? norm(`${at}${side}.layernorm_embedding`, sum) : sum;

  const cross_attentions: Value[] = [];
  const made = stack(first, config.int([`${side}_layers`, "num_hidden_layers"]), (x, i) => {
    const layer = `${at}${side}.layers.${i}.`;
    const attend = (name: string, x: Value, from: Value, right?: number) => {
      const [q, k, v] = ["q", "k", "v"].map((n) =>
        linear(g, `${layer}${name}.${n}_proj`, n === "q" ? x : from, width, n !== "k" || !family.plain_keys),
      );
      const keep = (v: Value) => (side === "decoder" ? g.cache(v) : v);
      const { out, probabilities } = g.attention(q, keep(k), keep(v), { heads, right });
      return { out: linear(g, `${layer}${name}.out_proj`, out, width), probabilities };
    };
    let probabilities!: Value;
    let y = residual(`${layer}self_attn_layer_norm`, x, (x) => {
      const attended = attend("self_attn", x, x, side === "decoder" ? 0 : undefined);
      probabilities = attended.probabilities;
      return attended.out;
    });
    if (memory)
      y = residual(`${layer}encoder_attn_layer_norm`, y, (x) => {
        const attended = attend("encoder_attn", x, memory);
        cross_attentions.push(attended.probabilities);
        return attended.out;
      });
    const z = residual(`${layer}final_layer_norm`, y, (x) =>
      linear(g, `${layer}fc2`, g.activation(linear(g, `${layer}fc1`, x, inner), kind), width),
    );
    return { x: z, probabilities };
  });
  if (!family.pre_norm) return { ...made, cross_attentions };
  const last_hidden_state = norm(`${at}${side}.layer_norm`, made.last_hidden_state);
  return {
    ...made,
    last_hidden_state,
    hidden_states: made.hidden_states.with(-1, last_hidden_state),
    cross_attentions,
  };
}

/** BART: post-norm layers, learned positions. */
export const bart = bartLike({ embedding_norm: true });

/** mBART (arXiv:2001.08210): norms before, and one over the embeddings. */
export const mbart = bartLike({ embedding_norm: true, pre_norm: true });

const computed: Positions = { compute: sinusoids };

/** Marian (arXiv:1804.00344): BART with computed positions, and no norm over the embeddings. */
export const marian = bartLike({ positions: computed });

/** Pegasus (arXiv:1912.08777): the same with norms before. */
export const pegasus = bartLike({ pre_norm: true, positions: computed });

/** M2M-100 (arXiv:2010.11125) and NLLB: positions count the tokens that are not padding. */
export const m2m100 = bartLike({
  pre_norm: true,
  activation: "relu",
  positions: { first: 2, pad: true, compute: tensor2tensor },
});
