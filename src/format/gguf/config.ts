/** What a GGUF file's metadata say of a model, as the config.json and the tensors' names of its checkpoint (llama.cpp's convert_hf_to_gguf.py). */

import { FormatError, UnsupportedModelError, UnsupportedOptionError } from "../../errors.ts";
import { brief, type Json } from "../read.ts";
import type { Undo } from "./checkpoint.ts";
import type { GgufHeader, GgufTensor, Value } from "./header.ts";

/** Metadata of a file, each value checked for its type when it is asked for. */
export class Metadata {
  readonly architecture: string;

  constructor(
    readonly file: string,
    readonly values: ReadonlyMap<string, Value>,
  ) {
    this.architecture = this.string("general.architecture");
  }

  has(key: string): boolean {
    return this.values.has(key);
  }

  number(key: string, otherwise?: number): number {
    return this.#get(key, "a number", (v) => typeof v === "number", otherwise);
  }

  string(key: string, otherwise?: string): string {
    return this.#get(key, "a string", (v) => typeof v === "string", otherwise);
  }

  bool(key: string, otherwise?: boolean): boolean {
    return this.#get(key, "a bool", (v) => typeof v === "boolean", otherwise);
  }

  strings(key: string): readonly string[] {
    return this.#get(key, "strings", (v) => Array.isArray(v) && (!v.length || typeof v[0] === "string"), []);
  }

  numbers(key: string): ArrayLike<number> {
    const good = (v: Value) => typeof v === "object" && (!v.length || typeof v[0] === "number");
    return this.#get(key, "numbers", good, []);
  }

  /** A number that may differ by layer: all must be the same. */
  same(key: string, otherwise?: number): number {
    const value = this.values.get(key);
    if (typeof value !== "object") return this.number(key, otherwise);
    const all = [...new Set(Array.from(this.numbers(key)))];
    if (all.length !== 1) throw new UnsupportedOptionError(`${this.file}: ${key}`, all, ["one number for all layers"]);
    return all[0];
  }

  #get<T>(key: string, what: string, good: (value: Value) => boolean, otherwise?: T): T {
    const value = this.values.get(key);
    if (value === undefined ? otherwise === undefined : !good(value))
      throw new FormatError(this.file, `must have ${what} as ${key}, not ${brief(value)}`);
    return (value ?? otherwise) as T;
  }
}

interface Family {
  /** What transformers calls it, and its language model. */
  readonly model_type: string;
  readonly name: string;
  /** Tensors' names without `.weight` and `.bias`, those of a layer without `blk.N.`. */
  readonly names: { readonly [name: string]: string };
  readonly head?: string;
  readonly layers?: string;
  readonly undo?: (name: string, m: Metadata) => Omit<Undo, "name">;
  /** What differs from Llama's config; undefined takes a field away. */
  readonly config?: (m: Metadata, at: string, config: Json) => Json;
}

const LLAMA = {
  token_embd: "model.embed_tokens",
  output_norm: "model.norm",
  attn_norm: "input_layernorm",
  attn_q: "self_attn.q_proj",
  attn_k: "self_attn.k_proj",
  attn_v: "self_attn.v_proj",
  attn_output: "self_attn.o_proj",
  attn_q_norm: "self_attn.q_norm",
  attn_k_norm: "self_attn.k_norm",
  ffn_norm: "post_attention_layernorm",
  ffn_gate: "mlp.gate_proj",
  ffn_up: "mlp.up_proj",
  ffn_down: "mlp.down_proj",
};
const GEMMA2 = {
  ...LLAMA,
  post_attention_norm: "post_attention_layernorm",
  ffn_norm: "pre_feedforward_layernorm",
  post_ffw_norm: "post_feedforward_layernorm",
};

/** Gemma's norms multiply by 1 + weight; the files have the sum. */
const gemma = (name: string) => (name.endsWith("norm") ? { added: 1 } : {});
const activation = { hidden_act: undefined, hidden_activation: "gelu_pytorch_tanh" };

/** What llama.cpp divides scores by is no metadata: it knows the largest model of each Gemma by its number of layers. */
const scalar = (layers: number) => (m: Metadata, at: string, config: Json) => {
  const heads = m.number(`${at}attention.head_count`);
  return m.number(`${at}block_count`) === layers ? m.number(`${at}embedding_length`) / heads : config.head_dim;
};

const FAMILIES: { readonly [architecture: string]: Family } = {
  llama: {
    model_type: "llama",
    name: "Llama",
    names: LLAMA,
    undo: (name, m) =>
      name === "attn_q"
        ? { heads: m.number("llama.attention.head_count") }
        : name === "attn_k"
          ? { heads: m.same("llama.attention.head_count_kv", m.number("llama.attention.head_count")) }
          : name === "rope_freqs"
            ? { divisors: true }
            : {},
  },
  qwen2: { model_type: "qwen2", name: "Qwen2", names: LLAMA },
  qwen3: { model_type: "qwen3", name: "Qwen3", names: LLAMA },
  gemma: { model_type: "gemma", name: "Gemma", names: LLAMA, undo: gemma, config: () => activation },
  gemma2: {
    model_type: "gemma2",
    name: "Gemma2",
    names: GEMMA2,
    undo: gemma,
    config: (m, at, config) => ({
      ...activation,
      query_pre_attn_scalar: scalar(46)(m, at, config),
      attn_logit_softcapping: m.number(`${at}attn_logit_softcapping`, 0) || null,
      final_logit_softcapping: m.number(`${at}final_logit_softcapping`, 0) || null,
      sliding_window: m.number(`${at}attention.sliding_window`, 4096),
    }),
  },
  gemma3: {
    model_type: "gemma3_text",
    name: "Gemma3",
    names: GEMMA2,
    undo: gemma,
    config: (m, at, config) => ({
      ...activation,
      query_pre_attn_scalar: scalar(62)(m, at, config),
      sliding_window: m.number(`${at}attention.sliding_window`),
      layer_types: Array.from({ length: Math.min(1 << 15, m.number(`${at}block_count`)) }, (_, i) =>
        (i + 1) % m.number(`${at}attention.sliding_window_pattern`, 6) ? "sliding_attention" : "full_attention",
      ),
      rope_scaling: undefined,
      rope_parameters: {
        full_attention: { rope_type: "default", rope_theta: config.rope_theta, ...(config.rope_scaling as Json) },
        sliding_attention: { rope_type: "default", rope_theta: m.number(`${at}rope.freq_base_swa`, 1e4) },
      },
    }),
  },
  phi3: {
    model_type: "phi3",
    name: "Phi3",
    names: { ...LLAMA, attn_qkv: "self_attn.qkv_proj", ffn_up: "mlp.gate_up_proj" },
    config: (m, at) => ({
      original_max_position_embeddings: m.number(`${at}rope.scaling.original_context_length`, 0) || undefined,
      sliding_window: m.number(`${at}attention.sliding_window`, 0) || null,
    }),
  },
  gpt2: {
    model_type: "gpt2",
    name: "GPT2LMHeadModel",
    layers: "transformer.h",
    names: {
      token_embd: "transformer.wte",
      position_embd: "transformer.wpe",
      output_norm: "transformer.ln_f",
      attn_norm: "ln_1",
      attn_qkv: "attn.c_attn",
      attn_output: "attn.c_proj",
      ffn_norm: "ln_2",
      ffn_up: "mlp.c_fc",
      ffn_down: "mlp.c_proj",
    },
    // What GPT-2 calls Conv1D is stored as a Linear.
    undo: (name) => (/^(attn_qkv|attn_output|ffn_up|ffn_down)$/.test(name) ? { transposed: true } : {}),
    config: (m, at) => ({
      n_embd: m.number(`${at}embedding_length`),
      n_layer: m.number(`${at}block_count`),
      n_head: m.number(`${at}attention.head_count`),
      n_positions: m.number(`${at}context_length`),
      n_inner: m.number(`${at}feed_forward_length`),
      layer_norm_epsilon: m.number(`${at}attention.layer_norm_epsilon`),
      activation_function: "gelu_new",
    }),
  },
};

/** Keys behind the architecture's name: those that are read, and those that change nothing here. Another may change what a model gives. */
const KEYS = new Set(
  [
    "context_length embedding_length block_count feed_forward_length vocab_size tensor_data_layout rope.freq_base rope.freq_base_swa",
    "rope.dimension_count rope.dimension_count_swa rope.scale_linear rope.scaling.type rope.scaling.factor rope.scaling.finetuned",
    "rope.scaling.original_context_length rope.scaling.yarn_beta_fast rope.scaling.yarn_beta_slow attn_logit_softcapping",
    "final_logit_softcapping attention.head_count attention.head_count_kv attention.key_length attention.value_length",
    "attention.key_length_swa attention.value_length_swa attention.layer_norm_epsilon attention.layer_norm_rms_epsilon",
    "attention.sliding_window attention.sliding_window_pattern",
  ].flatMap((line) => line.split(" ")),
);
/** Others that may be there if they say this. */
const ONLY: { readonly [key: string]: Value } = {
  expert_count: 0,
  expert_used_count: 0,
  "attention.causal": true,
  "rope.scaling.attn_factor": 1,
  "rope.scaling.yarn_attn_factor": 1,
  "rope.scaling.yarn_ext_factor": 1,
};

/** config.json of a file, and what its tensors are called. @throws UnsupportedModelError, UnsupportedOptionError, FormatError */
export function ggufConfig(m: Metadata, { tensors }: GgufHeader): { config: Json; undo: (t: GgufTensor) => Undo } {
  const { architecture, file } = m;
  if (!Object.hasOwn(FAMILIES, architecture))
    throw new UnsupportedModelError(String(brief(architecture)), Object.keys(FAMILIES));
  const family = FAMILIES[architecture];
  const at = `${architecture}.`;
  if (m.number("split.count", 1) > 1)
    throw new UnsupportedOptionError(`${file}: split.count`, m.number("split.count"), [1]);
  for (const [key, value] of m.values) {
    const own = key.startsWith(at) ? key.slice(at.length) : undefined;
    if (own !== undefined && !KEYS.has(own) && !(Object.hasOwn(ONLY, own) && ONLY[own] === value))
      throw new UnsupportedOptionError(
        `${file}: ${brief(key)}`,
        brief(value),
        Object.hasOwn(ONLY, own) ? [ONLY[own]] : [],
      );
  }
  const table = tensors.get("token_embd.weight");
  if (table?.shape.length !== 2) throw new FormatError(file, "has no matrix token_embd.weight");

  const hidden = m.number(`${at}embedding_length`);
  const heads = m.same(`${at}attention.head_count`);
  const head_dim = m.number(`${at}attention.key_length`, hidden / heads);
  if (m.number(`${at}attention.value_length`, head_dim) !== head_dim)
    throw new UnsupportedOptionError(`${file}: ${at}attention.value_length`, m.number(`${at}attention.value_length`), [
      head_dim,
    ]);
  const ids = ["eos", "eot"].flatMap((name) => m.values.get(`tokenizer.ggml.${name}_token_id`) ?? []);
  const base: Json = {
    model_type: family.model_type,
    architectures: [/Model$/.test(family.name) ? family.name : `${family.name}ForCausalLM`],
    vocab_size: table.shape[0],
    tie_word_embeddings: !tensors.has("output.weight"),
    bos_token_id: m.values.get("tokenizer.ggml.bos_token_id"),
    eos_token_id: ids.length > 1 ? [...new Set(ids)] : ids[0],
    pad_token_id: m.values.get("tokenizer.ggml.padding_token_id"),
  };
  const llama: Json = {
    hidden_size: hidden,
    intermediate_size: m.same(`${at}feed_forward_length`),
    num_hidden_layers: m.number(`${at}block_count`),
    num_attention_heads: heads,
    num_key_value_heads: m.same(`${at}attention.head_count_kv`, heads),
    head_dim,
    max_position_embeddings: m.number(`${at}context_length`),
    hidden_act: "silu",
    attention_bias: tensors.has("blk.0.attn_q.bias"),
    mlp_bias: tensors.has("blk.0.ffn_up.bias"),
    ...(architecture !== "gpt2" && { rms_norm_eps: m.number(`${at}attention.layer_norm_rms_epsilon`) }),
    rope_theta: m.number(`${at}rope.freq_base`, 1e4),
    partial_rotary_factor: m.number(`${at}rope.dimension_count`, head_dim) / head_dim,
    rope_scaling: scaling(m, at, tensors),
  };
  const config = { ...base, ...(architecture === "gpt2" ? {} : llama) };
  // As JSON has it: what is undefined is not there.
  const json = JSON.parse(JSON.stringify({ ...config, ...family.config?.(m, at, llama) }));
  const name = (t: GgufTensor): Undo => {
    const [, layer, own, suffix] = /^(?:blk\.(\d+)\.)?(\w+)(\.weight|\.bias)?$/.exec(t.name) ?? [];
    if (own === "output" && layer === undefined) return { name: `lm_head${suffix ?? ""}` };
    const known = own !== undefined && Object.hasOwn(family.names, own) ? family.names[own] : undefined;
    const undo = own === undefined ? {} : family.undo?.(own, m);
    // An unknown tensor keeps its name, and loading refuses it by that.
    if (!known) return { name: t.name, ...undo };
    return { name: (layer ? `${family.layers ?? "model.layers"}.${layer}.` : "") + known + (suffix ?? ""), ...undo };
  };
  return { config: json, undo: name };
}

/** @throws UnsupportedOptionError for a kind that is not here */
function scaling(m: Metadata, at: string, tensors: GgufHeader["tensors"]): Json | undefined {
  const type = m.string(`${at}rope.scaling.type`, "none");
  const factor = m.number(`${at}rope.scaling.factor`, m.number(`${at}rope.scale_linear`, 0));
  const refuse = (option: string, value: unknown, supported: readonly unknown[]): never => {
    throw new UnsupportedOptionError(`${m.file}: ${option}`, value, supported);
  };
  for (const name of ["rope_factors_long.weight", "rope_factors_short.weight"])
    if (tensors.has(name)) refuse(name, "there", ["files without it"]);
  // Llama 3.1 scales each frequency by a number of its own, which the file has instead of what it was computed from.
  if (tensors.has("rope_freqs.weight")) {
    if (type !== "none") refuse(`${at}rope.scaling.type`, type, ["none, with rope_freqs.weight"]);
    return { rope_type: "factors", factors: "rope_freqs.weight" };
  }
  if (type === "none" || (type === "linear" && !factor)) return;
  if (type === "linear") return { rope_type: "linear", factor };
  if (type !== "yarn") return refuse(`${at}rope.scaling.type`, brief(type), ["none", "linear", "yarn"]);
  return {
    rope_type: "yarn",
    factor,
    original_max_position_embeddings: m.number(`${at}rope.scaling.original_context_length`),
    beta_fast: m.number(`${at}rope.scaling.yarn_beta_fast`, 32),
    beta_slow: m.number(`${at}rope.scaling.yarn_beta_slow`, 1),
  };
}
