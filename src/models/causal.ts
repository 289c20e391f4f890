import { UnsupportedOptionError } from "../errors.ts";
import type { Config, Names } from "../format/config.ts";
import type { Outputs } from "../graph/fuse.ts";
import type { AttentionOptions, Graph, Value } from "../graph/graph.ts";
import { configActivation, linear } from "../nn/blocks.ts";
import { stack } from "../nn/encoder.ts";
import { rotaryTable } from "../nn/rope.ts";
import type { Architecture, Body } from "./architecture.ts";

/** What a decoder of Llama's kind does otherwise than Llama (arXiv:2302.13971). Every flag is a line of its modeling file. */
export interface Family {
  /** Biases of the projections; where the config has `attention_bias` or `mlp_bias`, that says it. */
  readonly bias?: { readonly qkv?: boolean; readonly output?: boolean; readonly mlp?: boolean };
  /** RMS norm of queries and keys: of each head, or of all heads together. */
  readonly qk_norm?: "head" | "all";
  /** Added to the weights of norms: 1 in Gemma. */
  readonly norm_offset?: number;
  /** Norms before attention and feed-forward; after them, before they are added; or both. */
  readonly norms?: "before" | "after" | "both";
  /** Embeddings are multiplied by this. */
  readonly embedding_scale?: (config: Config) => number;
  /** The name of the activation's option, and what it is where the config does not say. */
  readonly activation?: readonly [names: Names, otherwise: string];
  /** Keys that a layer sees, where its type is not full attention. */
  readonly layer_type?: (config: Config, layer: number) => LayerType;
  readonly attention?: (config: Config) => Partial<AttentionOptions>;
}

export const LAYER_TYPES = ["full_attention", "sliding_attention"] as const;
export type LayerType = (typeof LAYER_TYPES)[number];

/** The names of norms in each arrangement: before attention, after it, before the feed-forward, after it. */
const NORMS = {
  before: ["input_layernorm", undefined, "post_attention_layernorm", undefined],
  after: [undefined, "post_attention_layernorm", undefined, "post_feedforward_layernorm"],
  both: ["input_layernorm", "post_attention_layernorm", "pre_feedforward_layernorm", "post_feedforward_layernorm"],
};

/** A decoder of Llama's kind: rotary positions, RMS norms, gated feed-forward. */
export function llamaLike(family: Family): Architecture {
  return {
    prefix: "model",
    causal: true,
    rules: (config) => ({ heads: config.int("num_attention_heads"), sizes: { input_ids: config.int("vocab_size") } }),
    body: (g, config, at) => body(g, config, at, family),
    heads: { CausalLM: (g, config, { last_hidden_state }, at) => languageHead(g, config, last_hidden_state, at) },
  };
}

function body(g: Graph, config: Config, at: string, family: Family): Body {
  const hidden_size = config.int("hidden_size");
  const heads = config.int("num_attention_heads");
  const kv_heads = config.int("num_key_value_heads", { default: heads });
  const head_dim = config.int("head_dim", { default: hidden_size / heads });
  const intermediate_size = config.int("intermediate_size");
  const eps = config.number("rms_norm_eps", { max: 1, default: 1e-6 });
  const kind = configActivation(config, ...(family.activation ?? ["hidden_act", "silu"]));
  if (heads % kv_heads) throw new UnsupportedOptionError("num_key_value_heads", kv_heads, [`divisors of ${heads}`]);
  const qkv_bias = family.bias?.qkv ?? config.bool("attention_bias");
  const output_bias = family.bias?.output ?? config.bool("attention_bias");
  const mlp_bias = family.bias?.mlp ?? config.bool("mlp_bias");

  const norm = (name: string, x: Value, groups = 1) =>
    g.rmsNorm(x, g.weight(`${name}.weight`, [x.cols / groups]), eps, family.norm_offset, groups);
  const maybe = (layer: string, name: string | undefined, x: Value) => (name ? norm(layer + name, x) : x);
  const names = NORMS[family.norms ?? "before"];
  const given = config.strings("layer_types", LAYER_TYPES);
  const type = (i: number) => given[i] ?? family.layer_type?.(config, i) ?? "full_attention";
  const tables = new Map<LayerType, Value>();
  const table = (type: LayerType) => {
    const made = tables.get(type) ?? rotaryTable(g, config.rope(type), head_dim, config);
    tables.set(type, made);
    return made;
  };

  const words = g.weight(`${at}embed_tokens.weight`, [config.int("vocab_size"), hidden_size]);
  const x = g.embed(g.input("input_ids", "T"), words, family.embedding_scale?.(config));
  const layers = stack(x, config.int("num_hidden_layers"), (x, i) => {
    const layer = `${at}layers.${i}.`;
    const a = maybe(layer, names[0], x);
    const project = (name: string, n: number) => linear(g, `${layer}self_attn.${name}_proj`, a, n * head_dim, qkv_bias);
    const normed = (name: string, x: Value, n: number) =>
      family.qk_norm ? norm(`${layer}self_attn.${name}_norm`, x, family.qk_norm === "head" ? n : 1) : x;
    const [q, k] = [
      ["q", heads],
      ["k", kv_heads],
    ].map(([name, n]) => g.rotary(normed(name as string, project(name as string, +n), +n), table(type(i)), +n));
    const v = project("v", kv_heads);
    const left = type(i) === "sliding_attention" ? config.int("sliding_window") - 1 : undefined;
    const { out, probabilities } = g.attention(q, g.cache(k, left), g.cache(v, left), {
      heads,
      kv_heads,
      right: 0,
      left,
      ...family.attention?.(config),
    });
    const attended = linear(g, `${layer}self_attn.o_proj`, out, hidden_size, output_bias);
    const y = g.add(maybe(layer, names[1], attended), x);
    const m = maybe(layer, names[2], y);
    const [gate, up] = ["gate", "up"].map((n) => linear(g, `${layer}mlp.${n}_proj`, m, intermediate_size, mlp_bias));
    const lowered = linear(g, `${layer}mlp.down_proj`, g.glu(gate, up, kind), hidden_size, mlp_bias);
    return { x: g.add(maybe(layer, names[3], lowered), y), probabilities };
  });
  const last_hidden_state = norm(`${at}norm`, layers.last_hidden_state);
  return { ...layers, last_hidden_state, hidden_states: layers.hidden_states.with(-1, last_hidden_state) };
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
  { words = `${at}embed_tokens`, own = "lm_head", bias = "" } = {},
): Outputs {
  const vocab_size = config.int("vocab_size");
  const tied = config.bool("tie_word_embeddings", !g.has(`${own}.weight`));
  const weight = g.weight(`${tied ? words : own}.weight`, [vocab_size, x.cols]);
  const cap = config.number("final_logit_softcapping", { default: 0 });
  const project = (x: Value) => {
    const logits = g.linear(x, weight, g.has(bias) ? g.weight(bias, [1, vocab_size]) : undefined);
    return cap ? g.softcap(logits, cap) : logits;
  };
  return { logits: project(x), next_logits: project(g.embed(g.input("last_rows", "B"), x)) };
}
