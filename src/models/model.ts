import { FormatError, InputError, MissingFileError, UnsupportedOptionError } from "../errors.ts";
import { type Checkpoint, openCheckpoint } from "../format/checkpoint.ts";
import { Config } from "../format/config.ts";
import { openModel } from "../format/open.ts";
import type { Packed } from "../format/packed.ts";
import { brief, type Json, readJson } from "../format/read.ts";
import type { ModelFolder, ModelSource, SourceOptions } from "../format/source.ts";
import type { Cache } from "../generate/cache.ts";
import type { Generator, Token } from "../generate/loop.ts";
import type { Decoder, GenerateOptions } from "../generate/options.ts";
import type { GenerateInputs } from "../generate/prompt.ts";
import type { Outputs } from "../graph/fuse.ts";
import { type Dims, Graph, type Shapes, sideOf, type Value } from "../graph/graph.ts";
import { size } from "../graph/lower.ts";
import { whole } from "../options.ts";
import {
  type Batch,
  type InputRules,
  layOut,
  type ModelInputs,
  scatter,
  scatterProbabilities,
} from "../runtime/batch.ts";
import { BASE, type EngineOptions } from "../runtime/engine.ts";
import type { CacheOptions } from "../runtime/kept.ts";
import { Layout, type MemoryPlan, type Profiled, Session } from "../runtime/session.ts";
import { isDtype, type WeightDtype } from "../runtime/weights.ts";
import { Tensor } from "../tensor.ts";
import type { Architecture } from "./architecture.ts";
import { architectureOf, type Families } from "./families.ts";

/** Progress over all files of a load together. */
export interface Progress {
  status: "progress" | "done";
  /** Bytes. */
  loaded: number;
  total: number;
}

export interface LoadOptions extends SourceOptions, EngineOptions {
  signal?: AbortSignal;
  progress_callback?: (progress: Progress) => void;
  /** The families that there are. `wattention` knows all of them; what is imported from `wattention/core` knows those that it is given. */
  families?: Families;
  /**
   * How weights are kept: f32 (the default); q8: 8 bits a weight, activations rounded to 7; q8-exact: 8 bits, activations 16; q4: 4.5 bits,
   * activations 7. Matrices of fewer than 32 rows stay f32. docs/decisions/0010 says what each costs.
   */
  dtype?: WeightDtype;
}

export interface RunOptions {
  signal?: AbortSignal;
}

export type ModelOutputs = { [name: string]: Tensor | Tensor[] };

/** Adds a module that follows the transformer, such as Pooling, and says what it is called. Names of the body's tensors begin with `at`. */
export type Extension = (g: Graph, outputs: Outputs, at: string) => Outputs;

interface Opened {
  config: Config;
  architecture: Architecture;
  /** The checkpoint's tensors by name. */
  shapes: ReadonlyMap<string, { readonly shape: readonly number[] }>;
  graph: Graph;
  outputs: Outputs;
  rules: InputRules;
  generation: Json;
  ignore: RegExp;
  dtype: WeightDtype | undefined;
  weights: Packed | readonly Checkpoint[];
  /** What loading them will read. */
  bytes: number;
  close(): Promise<void>;
}

/** Tensors that are no parameters, and heads and poolers that a checkpoint may carry unused. */
const UNUSED =
  /(^|\.)(position_ids|token_type_ids|inv_freq)$|^(cls|lm_head|classifier|qa_outputs|pooler|predictions|pre_classifier|vocab_\w+|generator_\w+|discriminator_\w+|sop_classifier|lm_predictions|mask_predictions|head|decoder)\./;

/** Reads config and headers and builds the graph: nothing is loaded yet. `extend` may add modules and open their checkpoints. */
export async function open(
  folder: ModelFolder,
  { signal, dtype, prefix = "", modules, extend, families }: LoadOptions & Modules,
): Promise<Opened> {
  const { packed } = folder;
  const checkpoints: Checkpoint[] = [];
  const close = async () => {
    for (const c of checkpoints) await c.close();
    await folder.close?.();
  };
  try {
    const json = await readJson(folder, `${prefix}config.json`, signal);
    if (!json) throw new MissingFileError(`${prefix}config.json`, folder.name);
    const config = new Config(json);
    const found = await architectureOf(config, families);
    const { architecture } = found;
    if (packed && !isDtype(packed.dtype))
      throw new FormatError(packed.file, `is packed in an unknown dtype "${brief(packed.dtype)}"`);
    if (packed && dtype !== undefined && dtype !== packed.dtype)
      throw new UnsupportedOptionError("dtype", dtype, [packed.dtype]);
    if (!packed) checkpoints.push(renamed(await openCheckpoint(folder, { signal, prefix }), today));
    for (const module of packed ? [] : (modules ?? [])) {
      const checkpoint = await openCheckpoint(folder, { signal, prefix: module });
      checkpoints.push(renamed(checkpoint, (name) => module + name)); // so that two modules do not clash
    }
    const shapes = packed?.shapes ?? new Map(checkpoints.flatMap((c) => [...c.tensors]));
    const { graph, outputs } = buildGraph(found, config, shapes, extend);
    const ignore = architecture.ignore ? new RegExp(`${UNUSED.source}|${architecture.ignore.source}`) : UNUSED;
    return {
      config,
      architecture,
      shapes,
      graph,
      outputs,
      rules: architecture.rules(config),
      generation: await generationOf(folder, config, architecture, prefix, signal),
      ignore: packed ? (modules ? /^$/ : MODULES) : ignore,
      dtype: packed ? (packed.dtype as WeightDtype) : dtype,
      weights: packed ?? checkpoints,
      bytes: packed?.bytes ?? checkpoints.reduce((n, c) => n + c.bytes, 0),
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

async function generationOf(
  folder: ModelFolder,
  config: Config,
  { generation }: Architecture,
  prefix: string,
  signal?: AbortSignal,
): Promise<Json> {
  if (!generation) return {};
  const file = await readJson(folder, `${prefix}generation_config.json`, signal);
  return file ?? (await generation()).legacyGeneration(config);
}

/** Names in a packed file of what stands behind the transformer: only tasks ask for it. */
const MODULES = /\//;

/** A checkpoint's graph, from its config and the shapes of its tensors: `own` are its outputs without those of `extend`. */
export function buildGraph(
  { architecture, head }: Awaited<ReturnType<typeof architectureOf>>,
  config: Config,
  shapes: Shapes & ReadonlyMap<string, unknown>,
  extend?: Extension,
) {
  const graph = new Graph(shapes);
  const prefix = `${architecture.prefix}.`;
  const at = [...shapes.keys()].some((name) => name.startsWith(prefix)) ? prefix : "";
  const body = architecture.body(graph, config, at);
  const own = { ...body, ...(head && architecture.heads[head]!(graph, config, body, at)) } as unknown as Outputs;
  return { graph, body, own, outputs: extend ? { ...own, ...extend(graph, own, at) } : own };
}

/** Google's first files, bert-base-uncased among them, call what a norm multiplies by and adds gamma and beta. */
const today = (name: string) =>
  name.replace(/LayerNorm\.gamma$/, "LayerNorm.weight").replace(/LayerNorm\.beta$/, "LayerNorm.bias");

/** The same tensors under other names. */
function renamed(checkpoint: Checkpoint, rename: (name: string) => string): Checkpoint {
  const tensors = new Map(
    Array.from(checkpoint.tensors.values(), (t) => [rename(t.name), { ...t, name: rename(t.name) }]),
  );
  return {
    ...checkpoint,
    tensors,
    stream: (sink, options) => checkpoint.stream((info) => sink({ ...info, name: rename(info.name) }), options),
  };
}

/** What a run of `batch` sequences of `length` tokens needs. */
export interface Shape {
  batch?: number;
  /** Tokens of each; of images the default is what an image of the model's own size has, beside them the longest text. */
  length?: number;
  /** The run is a step of generation, each sequence with such a cache. */
  cache?: CacheOptions;
}

export function dimsOf({ batch = 1, length }: Shape, { dims }: Pick<Architecture, "dims"> = {}, config?: Config): Dims {
  whole("batch", batch);
  if (dims && config) return dims(config, batch, length === undefined ? undefined : whole("length", length));
  length = whole("length", length);
  return { T: batch * length, B: batch, P: batch * length * length, S: 0, R: 0 };
}

/** The outputs that a model computes when it is not told which: all but those that are kept for looking inside, and what generation asks for. */
export const usual = (outputs: Outputs, { cache }: { cache?: CacheOptions } = {}) =>
  cache
    ? ["next_logits"]
    : Object.keys(outputs).filter((name) => !/(^|_)(hidden_states|attentions)$|^next_logits$/.test(name));

/** A loaded model. */
export class Model {
  /** Names of what `forward` can give. */
  readonly outputs: readonly string[];
  /** What `generate` and `stream` make text with: set by tasks, or by you. */
  tokenizer?: Decoder;

  constructor(
    readonly config: Config,
    readonly session: Session,
    readonly rules: InputRules,
    readonly architecture: Pick<Architecture, "layOut" | "prompt" | "dims" | "generation"> = {},
    /** generation_config.json, or what the config.json says of generation. */
    readonly generation: Json = {},
  ) {
    this.outputs = Object.keys(session.layout.outputs);
  }

  /**
   * Runs the model. `outputs` names what is wanted (see `model.outputs`); only that is computed. Token outputs are [B, T, …], padded
   * with zeros; `attentions` are [B, heads, T, T] a layer.
   * @throws InputError, ShapeError, TokenOutOfRangeError, InputTooLongError, MemoryLimitError, AbortError
   */
  async forward(
    inputs: ModelInputs,
    { outputs, signal }: RunOptions & { outputs?: readonly string[] } = {},
  ): Promise<ModelOutputs> {
    const batch = this.#layOut(inputs);
    const names = this.#computable(batch, inputs, outputs);
    return this.session.run(names, batch.dims, batch.inputs, (_, copy) => this.#collect(names, batch, copy), {
      signal,
    });
  }

  get prompt(): Generator["prompt"] {
    return this.architecture.prompt;
  }

  /**
   * Goes on with each sequence: the prompts and what follows them, `num_return_sequences` of each. Greedy, or as `options` and the
   * checkpoint's generation_config.json say (docs/generation.md). @throws as forward, UnsupportedOptionError
   */
  async generate(inputs: GenerateInputs, options: GenerateOptions = {}): Promise<number[][]> {
    return (await this.#generation()).generate(this, inputs, options);
  }

  /** Goes on with one sequence and gives each token as it is made. @throws as generate */
  async *stream(inputs: GenerateInputs, options: GenerateOptions = {}): AsyncGenerator<Token, void, undefined> {
    yield* (await this.#generation()).stream(this, inputs, options);
  }

  /**
   * Room for one text's keys and values, which calls of `generate` then share. @throws UnsupportedOptionError, MemoryLimitError
   */
  async cache(options: CacheOptions = {}): Promise<Cache> {
    return (await this.#generation()).openCache(this, options);
  }

  /** What `cache.save()` gave. @throws FormatError if it is damaged or another model's, MemoryLimitError */
  async loadCache(bytes: Uint8Array): Promise<Cache> {
    return (await this.#generation()).loadCache(this, bytes);
  }

  #generation() {
    const { generation } = this.architecture;
    if (!generation || !this.session.layout.outputs.next_logits)
      throw new UnsupportedOptionError("generate", this.config.model_type, ["models with a language head"]);
    return generation();
  }

  /** Runs the model once and says what each op cost: a run range by range. */
  async profile(
    inputs: ModelInputs,
    { outputs, signal }: RunOptions & { outputs?: readonly string[] } = {},
  ): Promise<Profiled[]> {
    const batch = this.#layOut(inputs);
    let steps: Profiled[] = [];
    const profile = (all: Profiled[]) => {
      steps = all;
    };
    const names = this.#computable(batch, inputs, outputs);
    await this.session.run(names, batch.dims, batch.inputs, () => {}, { signal, profile });
    return steps;
  }

  /** Exact bytes of a run at this shape, before anything is allocated for it. */
  plan(shape: Shape, outputs: readonly string[] = usual(this.session.layout.outputs, shape)): MemoryPlan {
    return this.session.layout.plan(outputs, dimsOf(shape, this.architecture, this.config), shape.cache);
  }

  #layOut(inputs: ModelInputs): Batch {
    return this.architecture.layOut?.(inputs, this.config) ?? layOut(inputs, this.rules);
  }

  /** The outputs that are asked for, or the usual ones of those that a batch has rows for: one side of a model may be left out. */
  #computable({ dims }: Batch, inputs: ModelInputs, asked?: readonly string[]): readonly string[] {
    const { layout } = this.session;
    const there = (name: string) => layout.values([name]).every(({ rows }) => size(dims, rows) > 0);
    const missing = asked?.find((name) => !there(name));
    if (missing === undefined) return asked ?? usual(layout.outputs).filter(there);
    const given = Object.keys(inputs).filter((name) => inputs[name as keyof ModelInputs] !== undefined);
    throw new InputError(`${missing} needs more than ${given.join(", ")}`);
  }

  #collect(names: readonly string[], batch: Batch, copy: (v: Value) => Float32Array): ModelOutputs {
    const tensor = (v: Value): Tensor => {
      const data = copy(v);
      const side = sideOf(v.rows);
      const own = side ? batch.sides![side] : batch;
      const { B } = own.dims;
      const axis = typeof v.rows === "string" && v.rows.slice(side ? side.length + 1 : 0);
      if (axis === "B") return new Tensor(data, [B, v.cols]);
      if (axis === "X" && v.kind === "node" && v.op !== "tap") return new Tensor(data, [B, data.length / B]);
      if (axis === "P" || axis === "X") {
        const keys = axis === "X" ? Object.values(batch.sides!)[0] : own;
        return new Tensor(scatterProbabilities(data, v.cols, own, keys), [B, v.cols, own.length, keys.length]);
      }
      const dims = [B, own.length, ...(v.kind === "view" && v.cols === 1 ? [] : [v.cols])];
      return new Tensor(scatter(data, v.cols, own), dims);
    };
    const all = this.session.layout.outputs;
    return Object.fromEntries(
      names.map((name) => [name, Array.isArray(all[name]) ? all[name].map(tensor) : tensor(all[name] as Value)]),
    );
  }

  /** Frees the engine; later calls throw EngineError. */
  dispose(): void {
    this.session.dispose();
  }

  [Symbol.dispose](): void {
    this.dispose();
  }
}

/** Options of a load that only tasks use: modules behind the transformer. */
export interface Modules {
  prefix?: string;
  modules?: readonly string[];
  extend?: Extension;
}

/** See load.ts; `Modules` are for tasks. */
export async function loadModel(source: ModelSource, options: LoadOptions & Modules = {}): Promise<Model> {
  const opened = await open(await openModel(source, options), options);
  const { session, done } = await loadOpened(opened, options);
  done();
  return new Model(opened.config, session, opened.rules, opened.architecture, opened.generation);
}

/** Loads what was opened, with progress over its bytes, or closes it; `done` tells that all is done. */
export async function loadOpened(
  opened: Opened,
  options: LoadOptions,
): Promise<{ session: Session; done: () => void }> {
  const { graph, outputs, weights, ignore, dtype, bytes: total } = opened;
  let loaded = 0;
  const tell = (status: Progress["status"]) => options.progress_callback?.({ status, loaded, total });
  const onProgress = (bytes: number) => {
    loaded += bytes;
    tell("progress");
  };
  try {
    const all = { ...options, ignore, dtype, onProgress };
    const session = await Session.load({ nodes: graph.nodes, outputs }, weights, all);
    return { session, done: () => tell("done") };
  } catch (error) {
    await opened.close();
    throw error;
  }
}

export interface PlanOptions extends LoadOptions, Shape {
  /** What the run is to give. Default: all but hidden_states and attentions. */
  outputs?: readonly string[];
}

/** See load.ts. */
export async function plan(
  source: ModelSource,
  { batch, length, cache, outputs, ...options }: PlanOptions,
): Promise<MemoryPlan> {
  const opened = await open(await openModel(source, options), options);
  await opened.close();
  const layout = new Layout(opened.graph.nodes, opened.outputs, BASE, opened.dtype, "dtype" in opened.weights);
  return layout.plan(
    outputs ?? usual(opened.outputs, { cache }),
    dimsOf({ batch, length }, opened.architecture, opened.config),
    cache,
  );
}
