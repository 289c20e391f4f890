import { UnsupportedOptionError } from "../errors.ts";
import type { Config, Names, Rope } from "../format/config.ts";
import type { Outputs } from "../graph/fuse.ts";
import type { AttentionOptions, Graph, Value } from "../graph/graph.ts";
import type { Activation } from "../graph/op.ts";
import { configActivation, layerNorm, linear } from "../nn/blocks.ts";
import { stack } from "../nn/encoder.ts";
import { rotaryTable, rotationsOf } from "../nn/rope.ts";
import type { InputRules } from "../runtime/batch.ts";
import type { Architecture, Body } from "./architecture.ts";
import { generation } from "./generation.ts";

/** What a checkpoint calls the parts of a decoder. */
const NAMES = {
  words: "embed_tokens",
  layers: "layers",
  attention: "self_attn",
  query: "q_proj",
  key: "k_proj",
  value: "v_proj",
  output: "o_proj",
  /** What follows attention. */
  mlp: "mlp",
  gate: "gate_proj",
  up: "up_proj",
  down: "down_proj",
  norm: "norm",
  head: "lm_head",
};

/** What a config calls the sizes. */
const OPTIONS = {
  hidden_size: "hidden_size" as Names,
  heads: "num_attention_heads" as Names,
  kv_heads: "num_key_value_heads" as Names,
  layers: "num_hidden_layers" as Names,
  inner: "intermediate_size" as Names,
  eps: "rms_norm_eps" as Names,
};

/** The norms of a layer by where they stand. */
export interface Norms {
  /** Of what attention reads, and of what it gives. */
  readonly attention?: string;
  readonly attended?: string;
  /** Of what the feed-forward reads, and of what it gives. */
  readonly feed?: string;
  readonly fed?: string;
  /** Of the sums with what attention and feed-forward read. */
  readonly added?: string;
  readonly out?: string;
}

/** The usual arrangements of them. */
export const NORMS = {
  before: { attention: "input_layernorm", feed: "post_attention_layernorm" },
  after: { attended: "post_attention_layernorm", fed: "post_feedforward_layernorm" },
  both: {
    attention: "input_layernorm",
    attended: "post_attention_layernorm",
    feed: "pre_feedforward_layernorm",
    fed: "post_feedforward_layernorm",
  },
} satisfies { [name: string]: Norms };

/** A bias is there, or not, or where an option says so: its name and what it is where it is not there. */
type Bias = boolean | readonly [option: string, otherwise: boolean];

/** Sizes of a model, and what builds its parts. */
export interface Parts {
  readonly g: Graph;
  readonly config: Config;
  readonly hidden_size: number;
  readonly heads: number;
  readonly kv_heads: number;
  readonly head_dim: number;
  readonly inner: number;
  readonly kind: Activation;
  norm(name: string, x: Value, groups?: number): Value;
}

/** What a decoder does otherwise than Llama (arXiv:2302.13971). Every flag is a line of its modeling file. */
export interface Family {
  readonly prefix?: string;
  readonly names?: Partial<typeof NAMES>;
  readonly options?: Partial<typeof OPTIONS>;
  readonly kv_heads?: (config: Config) => number;
  /** Columns of the embedding table, where `embedded` makes others of them. */
  readonly embedding_size?: (config: Config) => number;
  /** Biases of the projections; else `attention_bias` and `mlp_bias` say it. */
  readonly bias?: { readonly qkv?: Bias; readonly output?: Bias; readonly mlp?: Bias; readonly head?: boolean };
  /** Norms are RMS norms, or LayerNorms with a bias. */
  readonly norm?: "rms" | "layer";
  /** Norm of queries and keys: of each head, or of all heads together, or by a block of the family. */
  readonly qk_norm?: "head" | "all" | ((p: Parts, name: string, x: Value, heads: number) => Value);
  /** Added to the weights of norms: 1 in Gemma. */
  readonly norm_offset?: number;
  readonly norms?: Norms | ((config: Config) => Norms);
  /** Attention and feed-forward read the same: the layer's input. */
  readonly parallel?: (config: Config) => boolean;
  /** Embeddings are multiplied by this. */
  readonly embedding_scale?: (config: Config) => number;
  /** What attention and feed-forward give is multiplied by this. */
  readonly residual_scale?: (config: Config) => number;
  /** Logits are multiplied by this. */
  readonly logit_scale?: (config: Config) => number;
  /** What becomes of the embeddings: positions are added, say. */
  readonly embedded?: (p: Parts, x: Value, at: string) => Value;
  /** What becomes of the last layer's output; else it is normalised. */
  readonly finished?: (p: Parts, x: Value, at: string) => Value;
  /** What positions are read from a table, and how many it has. */
  readonly rules?: (config: Config) => Partial<InputRules>;
  /** The name of the activation's option, and what it is where the config does not say. */
  readonly activation?: readonly [names: Names, otherwise: string];
  /** Keys that a layer sees, where its type is not full attention. */
  readonly layer_type?: (config: Config, layer: number) => LayerType;
  /** How a layer of a type is rotated; undefined: not at all. */
  readonly rope?: (config: Config, type: LayerType, layer: number) => Rope | undefined;
  /** Pairs of neighbours are rotated. */
  readonly interleaved?: boolean;
  readonly attention?: (config: Config, p: Parts, at: string, layer: number) => Partial<AttentionOptions>;
  /** Queries, keys and values of one matrix. */
  readonly qkv?: (p: Parts, layer: string, x: Value, bias: boolean) => readonly [Value, Value, Value];
  /** The feed-forward: gated, `down(activation(up(x)))`, or a block of the family, which may build another one. */
  readonly mlp?: "gated" | "plain" | ((p: Parts, at: string, x: Value, gated: Mlp, layer: number) => Value);
  readonly ignore?: RegExp;
  /** Refuses what the family does not have. */
  readonly check?: (config: Config) => void;
}

/** A feed-forward of `inner` columns. */
export type Mlp = (at: string, x: Value, inner?: number) => Value;

export const LAYER_TYPES = ["full_attention", "sliding_attention"] as const;
export type LayerType = (typeof LAYER_TYPES)[number];

/** A decoder that differs from Llama by what `family` says: rotary positions, RMS norms, gated feed-forward. */
export function llamaLike(family: Family): Architecture {
  const names = { ...NAMES, ...family.names };
  const ropeOf = (config: Config, type: LayerType, layer: number) =>
    family.rope ? family.rope(config, type, layer) : config.rope(type);
  const rules = (config: Config): InputRules => {
    const { sizes, ...more } = family.rules?.(config) ?? {};
    const heads = config.int(family.options?.heads ?? OPTIONS.heads);
    const rope = ropeOf(config, "full_attention", 0);
    const rotations = rope && rotationsOf(rope, sizeOfHeads(config, { ...OPTIONS, ...family.options }), config);
    return { heads, sizes: { input_ids: config.int("vocab_size"), ...sizes }, rotations, ...more };
  };
  return {
    prefix: family.prefix ?? "model",
    generation,
    rules,
    body: (g, config, at) => body(g, config, at, family, names, ropeOf),
    heads: {
      CausalLM: (g, config, { last_hidden_state: x }, at) =>
        languageHead(g, config, x, at, {
          words: at + names.words,
          own: names.head,
          bias: family.bias?.head,
          scale: family.logit_scale?.(config),
        }),
      SequenceClassification: (g, config, { last_hidden_state: x }) => ({
        logits: g.linear(
          g.embed(g.input("pool_last_rows", "B"), x),
          g.weight("score.weight", [config.labels().length, x.cols]),
        ),
      }),
    },
    ignore: family.ignore,
  };
}

/** How a layer is rotated, if it is. */
type RopeOf = (config: Config, type: LayerType, layer: number) => Rope | undefined;

const sizeOfHeads = (config: Config, { hidden_size, heads }: typeof OPTIONS) =>
  config.int("head_dim", { default: config.int(hidden_size) / config.int(heads) });

function body(g: Graph, config: Config, at: string, family: Family, names: typeof NAMES, ropeOf: RopeOf): Body {
  family.check?.(config);
  const options = { ...OPTIONS, ...family.options };
  const hidden_size = config.int(options.hidden_size);
  const heads = config.int(options.heads);
  const kv_heads = family.kv_heads?.(config) ?? config.int(options.kv_heads, { default: heads });
  const head_dim = sizeOfHeads(config, options);
  const inner = config.int(options.inner, { default: 4 * hidden_size });
  const eps = config.number(options.eps, { max: 1, default: family.norm === "layer" ? 1e-5 : 1e-6 });
  const kind = configActivation(config, ...(family.activation ?? ["hidden_act", "silu"]));
  if (heads % kv_heads) throw new UnsupportedOptionError("num_key_value_heads", kv_heads, [`divisors of ${heads}`]);
  const has = (bias: Bias | undefined, option: string) =>
    typeof bias === "boolean" ? bias : config.bool(...(bias ?? ([option, false] as const)));
  const qkv_bias = has(family.bias?.qkv, "attention_bias");
  const output_bias = has(family.bias?.output, "attention_bias");
  const mlp_bias = has(family.bias?.mlp, "mlp_bias");

  const norm = (name: string, x: Value, groups = 1) =>
    family.norm === "layer"
      ? layerNorm(g, name, x, eps)
      : g.rmsNorm(x, g.weight(`${name}.weight`, [x.cols / groups]), eps, family.norm_offset, groups);
  const maybe = (layer: string, name: string | undefined, x: Value) => (name ? norm(layer + name, x) : x);
  const parts: Parts = { g, config, hidden_size, heads, kv_heads, head_dim, inner, kind, norm };
  const scale = family.residual_scale?.(config) ?? 1;
  const residual = scale === 1 ? undefined : g.constant(new Float32Array(hidden_size).fill(scale));
  const scaled = (x: Value) => (residual ? g.mul(x, residual) : x);

  const norms: Norms = typeof family.norms === "function" ? family.norms(config) : (family.norms ?? NORMS.before);
  const parallel = family.parallel?.(config);
  const given = config.strings("layer_types", LAYER_TYPES);
  const type = (i: number) => given[i] ?? family.layer_type?.(config, i) ?? "full_attention";
  const tables = new Map<string, Value>();
  const turned = (x: Value, i: number, n: number) => {
    const rope = ropeOf(config, type(i), i);
    if (!rope) return x;
    const table = tables.get(type(i)) ?? rotaryTable(g, rope, head_dim, config);
    tables.set(type(i), table);
    return g.rotary(x, table, n, family.interleaved);
  };

  const gated: Mlp = (mlp, x, cols = inner) => {
    const up = linear(g, mlp + names.up, x, cols, mlp_bias);
    const lifted =
      family.mlp === "plain" ? g.activation(up, kind) : g.glu(linear(g, mlp + names.gate, x, cols, mlp_bias), up, kind);
    return linear(g, mlp + names.down, lifted, hidden_size, mlp_bias);
  };

  const words = g.weight(`${at}${names.words}.weight`, [
    config.int("vocab_size"),
    family.embedding_size?.(config) ?? hidden_size,
  ]);
  const embedded = g.embed(g.input("input_ids", "T"), words, family.embedding_scale?.(config));
  const x = family.embedded?.(parts, embedded, at) ?? embedded;
  const layers = stack(x, config.int(options.layers), (x, i) => {
    const layer = `${at}${names.layers}.${i}.`;
    const attention = `${layer}${names.attention}.`;
    const a = maybe(layer, norms.attention, x);
    const project = (name: string, n: number) => linear(g, attention + name, a, n * head_dim, qkv_bias);
    const normed = (name: string, x: Value, n: number) =>
      typeof family.qk_norm === "function"
        ? family.qk_norm(parts, attention + name, x, n)
        : family.qk_norm
          ? norm(`${attention}${name}_norm`, x, family.qk_norm === "head" ? n : 1)
          : x;
    const [q, k, v] =
      family.qkv?.(parts, attention, a, qkv_bias) ??
      ([project(names.query, heads), project(names.key, kv_heads), project(names.value, kv_heads)] as const);
    const own = family.attention?.(config, parts, attention, i);
    const left = own?.left ?? (type(i) === "sliding_attention" ? config.int("sliding_window") - 1 : undefined);
    const { out, probabilities } = g.attention(
      turned(normed("q", q, heads), i, heads),
      g.cache(turned(normed("k", k, kv_heads), i, kv_heads), left),
      g.cache(v, left),
      { heads, kv_heads, right: 0, ...own, left },
    );
    const attended = linear(g, attention + names.output, out, hidden_size, output_bias);
    const y = maybe(layer, norms.added, g.add(maybe(layer, norms.attended, scaled(attended)), x));
    const m = parallel && !norms.feed ? a : maybe(layer, norms.feed, parallel ? x : y);
    const mlp = names.mlp ? `${layer}${names.mlp}.` : layer;
    const fed = typeof family.mlp === "function" ? family.mlp(parts, mlp, m, gated, i) : gated(mlp, m);
    return { x: maybe(layer, norms.out, g.add(maybe(layer, norms.fed, scaled(fed)), y)), probabilities };
  });
  const last = layers.last_hidden_state;
  const last_hidden_state = family.finished?.(parts, last, at) ?? norm(at + names.norm, last);
  return { ...layers, last_hidden_state, hidden_states: layers.hidden_states.with(-1, last_hidden_state) };
}

interface LanguageHead {
  /** The embedding table, and the projection where it has one of its own. */
  readonly words?: string;
  readonly own?: string;
  readonly bias?: boolean;
  /** Where it is not the config's. */
  readonly vocab_size?: number;
  /** A row of the checkpoint that is added where it is there. */
  readonly logits_bias?: string;
  /** Of the logits. */
  readonly scale?: number;
}

/**
 * A logit for each word of the vocabulary: of every token, and of each sequence's last one, which is what generation asks for.
 * The projection is the embedding table, unless the checkpoint has one of its own.
 */
export function languageHead(
  g: Graph,
  config: Config,
  x: Value,
  at: string,
  { words = `${at}embed_tokens`, own = "lm_head", bias, vocab_size, logits_bias = "", scale = 1 }: LanguageHead = {},
): Outputs {
  vocab_size ??= config.int("vocab_size");
  const tied = config.bool("tie_word_embeddings", !g.has(`${own}.weight`));
  const weight = g.weight(`${tied ? words : own}.weight`, [vocab_size, x.cols]);
  const row = g.has(logits_bias) ? g.weight(logits_bias, [1, vocab_size]) : undefined;
  const added = bias ? g.weight(`${own}.bias`, [vocab_size]) : row;
  const cap = config.number("final_logit_softcapping", { default: 0 });
  const by = scale === 1 ? undefined : g.constant(new Float32Array(x.cols).fill(scale));
  const project = (x: Value) => {
    const logits = g.linear(by ? g.mul(x, by) : x, weight, added);
    return cap ? g.softcap(logits, cap) : logits;
  };
  return { logits: project(x), next_logits: project(g.embed(g.input("last_rows", "B"), x)) };
}

/** A norm of each head's own. */
export function perHead(g: Graph, x: Value, heads: number, norm: (x: Value, head: number) => Value): Value {
  const size = x.cols / heads;
  return g.concat(Array.from({ length: heads }, (_, h) => norm(g.columns(x, h * size, size), h)));
}

/** Queries, keys and values of one matrix, whose rows lie by group: the queries of some heads, their key, their value. */
export function grouped({ g, heads, kv_heads, head_dim }: Parts, name: string, x: Value, bias: boolean) {
  const each = heads / kv_heads;
  const to = Array.from({ length: heads + 2 * kv_heads }, (_, i) => {
    const [group, j] = [Math.floor(i / (each + 2)), i % (each + 2)];
    return j < each ? group * each + j : heads + (j - each) * kv_heads + group;
  });
  const blocks = { size: head_dim, to };
  const [q, k] = [heads * head_dim, kv_heads * head_dim];
  const weight = g.weight(`${name}.weight`, [q + 2 * k, x.cols], false, { blocks });
  const all = g.linear(x, weight, bias ? g.weight(`${name}.bias`, [q + 2 * k], false, { blocks }) : undefined);
  return [g.columns(all, 0, q), g.columns(all, q, k), g.columns(all, q + k, k)] as const;
}
