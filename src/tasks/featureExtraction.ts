import { InputError, UnsupportedOptionError } from "../errors.ts";
import { Config } from "../format/config.ts";
import { readJson } from "../format/read.ts";
import {
  POOLING as MODES,
  type PoolingMode,
  readSentenceTransformer,
  type SentenceModule,
  type SentenceTransformer,
} from "../format/sentenceTransformers.ts";
import type { ModelFolder, ModelSource } from "../format/source.ts";
import type { Outputs } from "../graph/fuse.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { Pooling } from "../graph/op.ts";
import type { LoadOptions } from "../models/model.ts";
import { activationOf, layerNorm, linear } from "../nn/blocks.ts";
import { Tensor } from "../tensor.ts";
import { type CallOptions, type Task, type TextIds, TextModel, task } from "./text.ts";

export interface PromptOptions {
  /** Text before each input, or the name of one of the folder's prompts. Default: the folder's default prompt. */
  prompt?: string;
  prompt_name?: string;
}

export interface FeatureExtractionOptions extends CallOptions, PromptOptions {
  /** How token vectors become one. Default: what the folder's modules.json says; without one, `none`. */
  pooling?: "none" | PoolingMode;
  /** Divide by the L2 norm. Default: what modules.json says; without one, no. */
  normalize?: boolean;
}

/** Texts, or the ids that `encode` made of them, to vectors: [n, d], or with pooling `none` [n, T, hidden_size], zeros behind shorter texts. */
export type FeatureExtraction = Task<
  (texts: string | readonly (string | TextIds)[], options?: FeatureExtractionOptions) => Promise<Tensor>
> & {
  /** Whether the folder itself says how to pool. */
  readonly pools: boolean;
  /** Most tokens that a text may have, special ones included: longer texts are cut. Infinity where there is no limit. */
  readonly max_length: number;
  /** The ids of a text, so that texts can be counted, and gathered from many callers, before they are run; whole if not to be cut. */
  encode(text: string, options?: PromptOptions & { truncation?: boolean }): TextIds;
};

function pooled(g: Graph, x: Value, mode: PoolingMode): Value {
  if (mode === "cls") return g.embed(g.input("pool_first_rows", "B"), x);
  if (mode === "lasttoken") return g.embed(g.input("pool_last_rows", "B"), x);
  const kinds = {
    mean: Pooling.mean,
    max: Pooling.max,
    mean_sqrt_len_tokens: Pooling.mean_sqrt_len,
    weightedmean: Pooling.weightedmean,
  };
  return g.pool(x, kinds[mode]);
}

const key = (pooling: string, normalize: boolean) => `sentence_embedding.${pooling}${normalize ? ".normalized" : ""}`;

/** Every way from token vectors to a sentence's, as outputs: those that nobody asks for cost nothing. */
function extend(modules: readonly SentenceModule[]) {
  return (g: Graph, outputs: Outputs): Outputs => {
    const x = outputs.last_hidden_state as Value;
    const own = modules.find((m) => m.type === "pooling")?.modes;
    const ways = new Map<string, readonly PoolingMode[]>(MODES.map((mode) => [mode, [mode]]));
    if (own) ways.set("modules", own);
    const out: { [name: string]: Value } = {};
    for (const [name, modes] of ways) {
      let y = g.concat(modes.map((mode) => pooled(g, x, mode)));
      if (modules.some((m) => m.type === "dense" && m.in !== y.cols && m === modules[1])) continue; // the Dense takes several poolings
      for (const m of modules) {
        if (m.type === "dense")
          y = g.activation(
            linear(g, `${m.prefix}linear`, y, m.out, m.bias),
            activationOf(m.activation.replace("identity", "linear"), "activation_function"),
          );
        if (m.type === "layer_norm") y = layerNorm(g, `${m.prefix}norm`, y, 1e-5);
      }
      out[key(name, false)] = y;
      out[key(name, true)] = g.normalize(y);
    }
    return out;
  };
}

/** The modules of a sentence-transformers folder, and what a load needs to add them to the model. */
export async function sentenceModules(folder: ModelFolder, signal?: AbortSignal) {
  const config = await readJson(folder, "config.json", signal);
  const st = await readSentenceTransformer(folder, { model_type: config && new Config(config).model_type, signal });
  const modules = st?.modules ?? [];
  const files = modules.flatMap((m) => (m.type === "dense" || m.type === "layer_norm" ? [m.prefix] : []));
  return { st, added: { prefix: st?.prefix, modules: files, extend: extend(modules), max_length: st?.max_seq_length } };
}

export async function featureExtraction(source?: ModelSource, options: LoadOptions = {}): Promise<FeatureExtraction> {
  let st: SentenceTransformer | undefined;
  const text = await TextModel.load(source, options, async (folder) => {
    const read = await sentenceModules(folder, options.signal);
    st = read.st;
    return read.added;
  });
  const pooling_module = st?.modules.find((m) => m.type === "pooling");
  const normalizes = st?.modules.some((m) => m.type === "normalize") ?? false;

  let last = { prompt: "", skip: 0 };
  const encode: FeatureExtraction["encode"] = (one, { truncation = true, ...o } = {}) => {
    const prompt = o.prompt ?? promptOf(st, o.prompt_name);
    const lower = (t: string) => (st?.do_lower_case ? t.toLowerCase() : t);
    const { input_ids, token_type_ids } = text.encode(
      lower(prompt + (st ? one.trim() : one)),
      undefined,
      truncation ? {} : { truncation },
    );
    // A prompt that is not to be pooled: its tokens, those before the text's own, do not count.
    if (prompt !== last.prompt)
      last = {
        prompt,
        skip:
          prompt && pooling_module?.include_prompt === false
            ? text.tokenizer.encode(lower(prompt)).input_ids.length - 1
            : 0,
      };
    return { input_ids, token_type_ids, skip: last.skip };
  };

  const call = async (texts: string | readonly (string | TextIds)[], o: FeatureExtractionOptions = {}) => {
    const list = typeof texts === "string" ? [texts] : texts;
    if (!Array.isArray(list) || list.some((t) => typeof t !== "string" && !Array.isArray(t?.input_ids)))
      throw new InputError("texts must be a string or an array of strings");
    const { pooling = st ? "modules" : "none", normalize = pooling !== "none" && normalizes } = o;
    if (pooling !== "modules" && pooling !== "none" && !MODES.includes(pooling))
      throw new UnsupportedOptionError("pooling", pooling, ["none", ...MODES]);
    if (pooling === "none" && normalize) throw new UnsupportedOptionError("normalize", true, [false]);
    const encodings = (list as readonly (string | TextIds)[]).map((t) => (typeof t === "string" ? encode(t, o) : t));
    const name = pooling === "none" ? "last_hidden_state" : key(pooling, normalize);
    const length = Math.max(0, ...encodings.map((e) => e.input_ids.length));
    const inputs = encodings.some((e) => e.skip)
      ? (part: readonly TextIds[]) => ({
          pooling_mask: part.map((e) => e.input_ids.map((_, i) => +(i >= (e.skip ?? 0)))),
        })
      : undefined;
    let out: Float32Array | undefined;
    let dims: number[] = [];
    await text.run(
      encodings,
      [name],
      (tensors, first, count) => {
        const t = tensors[name];
        const cols = t.dims.at(-1)!;
        dims = pooling === "none" ? [list.length, length, cols] : [list.length, cols];
        out ??= new Float32Array(dims.reduce((a, b) => a * b));
        const size = out.length / list.length;
        const own = t.data.length / count;
        for (let i = 0; i < count; i++) out.set(t.data.subarray(i * own, (i + 1) * own), (first + i) * size);
      },
      { ...o, inputs },
    );
    return out ? new Tensor(out, dims) : new Tensor(new Float32Array(0), [0, 0]);
  };
  return Object.assign(task(text, call), { pools: !!pooling_module, max_length: text.max_length, encode });
}

function promptOf(st: SentenceTransformer | undefined, name = st?.default_prompt_name): string {
  if (name === undefined) return "";
  const prompt = st?.prompts.get(name);
  if (prompt === undefined) throw new UnsupportedOptionError("prompt_name", name, [...(st?.prompts.keys() ?? [])]);
  return prompt;
}
