/** What a sentence-transformers folder says comes after its transformer (https://sbert.net). */

import { MissingFileError } from "../errors.ts";
import type { Folder } from "../platform.ts";
import { Config } from "./config.ts";
import { readJson, safePath } from "./read.ts";

/** In the order in which configs of the old spelling, a field for each, mean them to be joined. */
export const POOLING = ["cls", "max", "mean", "mean_sqrt_len_tokens", "weightedmean", "lasttoken"] as const;
export type PoolingMode = (typeof POOLING)[number];

const MODULES = ["Dense", "LayerNorm", "Normalize", "Dropout"];
const ACTIVATIONS = [
  "linear.Identity",
  "activation.Tanh",
  "activation.ReLU",
  "activation.GELU",
  "activation.SiLU",
  "activation.Sigmoid",
];
export type DenseActivation = "identity" | "tanh" | "relu" | "gelu" | "silu" | "sigmoid";

/** `prefix` is where a module's weights are, below the folder. */
export type SentenceModule =
  /** What the modes give, one after the other. Without `include_prompt` the prompt's tokens do not count. */
  | { type: "pooling"; modes: PoolingMode[]; include_prompt: boolean }
  /** activation(linear.weight [out, in] · x + linear.bias [out]) */
  | { type: "dense"; prefix: string; in: number; out: number; bias: boolean; activation: DenseActivation }
  /** norm.weight, norm.bias [size], eps 1e-5 */
  | { type: "layer_norm"; prefix: string; size: number }
  /** To length 1. */
  | { type: "normalize" };

export interface SentenceTransformer {
  /** Where the transformer is, below the folder: empty, or `"0_Transformer/"` in old ones. */
  prefix: string;
  max_seq_length?: number;
  do_lower_case: boolean;
  /** Texts that go before an input, by name. */
  prompts: Map<string, string>;
  default_prompt_name?: string;
  /** If there are any, the first is the pooling. */
  modules: SentenceModule[];
}

/**
 * Reads modules.json and what it names; undefined where the folder has none. `model_type` is that of the transformer's config.json:
 * the oldest folders name a file by it.
 * @throws FormatError, MissingFileError, UnsupportedOptionError
 */
export async function readSentenceTransformer(
  folder: Folder,
  { model_type = "bert", signal }: { model_type?: string; signal?: AbortSignal } = {},
): Promise<SentenceTransformer | undefined> {
  const file = "modules.json";
  const list = await readJson<unknown[]>(folder, file, signal, true);
  if (!list) return;
  const read = async (path: string): Promise<Config | undefined> => {
    const json = await readJson(folder, path, signal);
    return json && new Config(json, path);
  };

  const modules: SentenceModule[] = [];
  let transformer = "";
  for (const [i, entry] of list.entries()) {
    const module = new Config(Object(entry), `${file}: ${i}`);
    const path = module.string("path", undefined, "").replace(/\/$/, "");
    const prefix = path && `${safePath(path, file, true)}/`;
    // First the transformer, then the pooling: a module between them would work on tokens.
    const wanted = [["Transformer"], ["Pooling"]][i] ?? MODULES;
    const nameOf = (type: unknown) =>
      (typeof type === "string" && /^sentence_transformers\.(.*\.)?(\w+)$/.exec(type)?.[2]) || "";
    const kind = nameOf(module.get("type", (type) => wanted.includes(nameOf(type)), wanted));
    if (i === 0) transformer = prefix;
    else if (kind !== "Dropout") {
      const config = await read(`${prefix}config.json`);
      if (!config && kind !== "Normalize") throw new MissingFileError(`${prefix}config.json`, folder.name);
      modules.push(readModule(kind, prefix, config ?? new Config({})));
    }
  }

  const names = new Set(["bert", model_type.replace(/[^\w-]/g, "")]);
  let config: Config | undefined;
  for (const name of names) config ??= await read(`${transformer}sentence_${name}_config.json`);
  const { prompts, default_prompt_name } = readPrompts(await read("config_sentence_transformers.json"));
  return {
    prefix: transformer,
    max_seq_length: config?.has("max_seq_length") ? config.int("max_seq_length") : undefined,
    do_lower_case: config?.bool("do_lower_case") ?? false,
    prompts,
    default_prompt_name,
    modules,
  };
}

function readModule(kind: string, prefix: string, config: Config): SentenceModule {
  if (kind === "Pooling") {
    const one = typeof config.raw.pooling_mode === "string";
    const given = one ? [config.string("pooling_mode", POOLING)] : config.strings("pooling_mode", POOLING);
    // pooling_mode_cls_token, pooling_mode_mean_tokens, pooling_mode_lasttoken …
    const old = POOLING.filter((mode) =>
      config.bool(["", "_token", "_tokens"].map((end) => `pooling_mode_${mode}${end}`)),
    );
    const modes = given.length ? given : old.length ? old : ["mean" as const];
    return { type: "pooling", modes, include_prompt: config.bool("include_prompt", true) };
  }
  if (kind === "LayerNorm") return { type: "layer_norm", prefix, size: config.int("dimension") };
  const own = "sentence_embedding";
  for (const name of ["module_input_name", "module_output_name"]) config.string(name, [own], own);
  if (kind === "Normalize") return { type: "normalize" };
  config.get("use_residual", (v) => v === false, [false], false);
  const all = ACTIVATIONS.map((name) => `torch.nn.modules.${name}`);
  return {
    type: "dense",
    prefix,
    in: config.int("in_features"),
    out: config.int("out_features"),
    bias: config.bool("bias", true),
    activation: config.string("activation_function", all, ".Tanh").split(".").pop()!.toLowerCase() as DenseActivation,
  };
}

function readPrompts(config = new Config({})): Pick<SentenceTransformer, "prompts" | "default_prompt_name"> {
  const given = config.sub("prompts");
  const names = Object.keys(given.raw);
  const name = "default_prompt_name";
  return {
    prompts: new Map(names.map((name) => [name, given.string(name, undefined, "")])),
    default_prompt_name: config.has(name) ? config.string(name, names) : undefined,
  };
}
