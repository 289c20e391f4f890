import { InputError } from "../errors.ts";
import type { Checkpoint } from "../format/checkpoint.ts";
import type { Packed } from "../format/packed.ts";
import type { StreamOptions } from "../format/safetensors.ts";
import { base, type Fused, fuse, type Outputs, stateless } from "../graph/fuse.ts";
import type { Dims, Node, Value } from "../graph/graph.ts";
import { type Bound, bytesOf, type Kept, Program, size } from "../graph/lower.ts";
import { align } from "../graph/plan.ts";
import { BASE, type Block, Engine, type EngineOptions } from "./engine.ts";
import { type CacheOptions, partOf, stateBytes } from "./kept.ts";
import { Memory } from "./memory.ts";
import { PROBE, probe } from "./probe.ts";
import type { Profiled } from "./profile.ts";
import { type WeightDtype, Weights } from "./weights.ts";

export type { Profiled } from "./profile.ts";

export type RunInputs = { readonly [name: string]: Int32Array | Float32Array | undefined };

/**
 * Bytes of an engine's memory, exact: `total` is what the memory is after a load and a first run of these dims, in whole pages. Small
 * runs fit into the window through which the weights were loaded.
 */
export interface MemoryPlan {
  /** Weights and what is computed from them at load. */
  weights: number;
  scratch: number;
  /** Of the caches that were asked for. */
  state: number;
  total: number;
}

const NO_DIMS: Dims = { T: 0, B: 0, P: 0, S: 0, R: 0 };

/** A fused graph laid out in memory: what can be said of it before any memory exists. */
export class Layout {
  readonly outputs: Outputs;
  readonly weights: Weights;
  /** Computes what depends on weights alone. */
  readonly prologue: Program;
  /** What runs with a state, and what runs without: the same where nothing is kept. */
  readonly #stateful: Fused;
  readonly #stateless: Fused;
  readonly #programs = new Map<string, Program>();
  /** First byte of scratch. */
  readonly end: number;

  /** `packed`: weights come straight to their places, through no window. */
  constructor(nodes: readonly Node[], outputs: Outputs, from: number, dtype?: WeightDtype, packed = false) {
    const fused = fuse(nodes, outputs);
    this.#stateful = fused;
    this.#stateless = stateless(fused);
    this.outputs = this.#stateless.outputs;
    this.weights = new Weights(fused.nodes, from, dtype);
    if (packed) this.weights.window = 0;
    const kept = new Set<Node>();
    for (const n of fused.nodes) {
      if (n.constant) continue;
      for (const v of Object.values(n.inputs)) {
        const b = v && base(v);
        if (b?.kind === "node" && b.constant) kept.add(b);
      }
    }
    this.prologue = new Program(fused.nodes, [...kept], this.weights);
    this.end = this.weights.end;
    for (const n of kept) {
      this.weights.place(n, this.end);
      this.end = align(this.end + bytesOf(n, NO_DIMS));
    }
  }

  /** The values of some outputs. @throws InputError naming an unknown one */
  values(names: readonly string[], { outputs } = this.#stateless): Value[] {
    return names.flatMap((name) => {
      const value = Object.hasOwn(outputs, name) ? outputs[name] : undefined;
      if (!value) throw new InputError(`the model has no output "${name}"; it has ${Object.keys(outputs).join(", ")}`);
      return value as Value | Value[];
    });
  }

  /** The program that computes some outputs, made once. */
  program(names: readonly string[], stateful = false): Program {
    const key = [stateful, ...[...names].sort()].join();
    const graph = stateful ? this.#stateful : this.#stateless;
    const program = this.#programs.get(key) ?? new Program(graph.nodes, this.values(names, graph), this.weights);
    this.#programs.set(key, program);
    return program;
  }

  /** What a run with a state keeps, and what it gives. */
  get stateful(): Fused {
    return this.#stateful;
  }

  plan(names: readonly string[], dims: Dims, cache?: CacheOptions): MemoryPlan {
    const state = cache ? stateBytes(this.stateful, cache, dims.B) : 0;
    const T = cache ? Math.min(dims.T, dims.B * partOf(this.stateful, cache)) : dims.T;
    const scratch = Math.max(this.program(names, !!cache).bytes({ ...dims, T }), this.prologue.bytes(NO_DIMS));
    const total = Memory.pages(this.end + Math.max(state + scratch, this.weights.window));
    return { weights: this.end, state, scratch, total };
  }
}

export interface RunOptions {
  signal?: AbortSignal;
  profile?: (steps: Profiled[]) => void;
  /** Where keys and values are kept between runs. */
  state?: Kept;
}

/** A graph with its weights in an engine, of its own unless it is given one. */
export class Session {
  private constructor(
    readonly engine: Engine,
    readonly layout: Layout,
    /** What it holds of an engine that others use too. */
    readonly block: Block | undefined,
  ) {}

  /** Lays out `nodes`, loads the weights and computes what depends on weights alone. */
  static async load(
    { nodes, outputs }: { nodes: readonly Node[]; outputs: Outputs },
    from: readonly Checkpoint[] | Packed,
    options: EngineOptions & StreamOptions & { ignore?: RegExp; engine?: Engine; dtype?: WeightDtype } = {},
  ): Promise<Session> {
    const engine = options.engine ?? (await Engine.create(options));
    return engine.enqueue(async () => {
      const packed = "dtype" in from;
      let layout = new Layout(nodes, outputs, BASE, options.dtype, packed);
      const block = engine.reserve(layout.end - BASE);
      if (block.at !== BASE) layout = new Layout(nodes, outputs, block.at, options.dtype, packed);
      try {
        const session = new Session(engine, layout, options.engine && block);
        const prologue = engine.top + layout.prologue.reserve(NO_DIMS);
        const { weights } = layout;
        if (packed) await weights.read(engine, from, prologue, options.ignore ?? /^$/, options);
        else await weights.load(engine, from, options.ignore ?? /^$/, options);
        engine.memory.ensure(prologue);
        await session.#execute(layout.prologue.bind(NO_DIMS, engine.top, layout.weights), options.signal);
        return session;
      } catch (error) {
        engine.release(block);
        throw error;
      }
    }, options.signal);
  }

  /** Runs the program of `names`; `read` copies out what it needs while the results are still in place. */
  run<T>(
    names: readonly string[],
    dims: Dims,
    inputs: RunInputs,
    read: (values: Value[], copy: (v: Value) => Float32Array) => T,
    options: RunOptions = {},
  ): Promise<T> {
    return this.engine.enqueue(() => this.perform(names, dims, inputs, read, options), options.signal);
  }

  /** `run` for within `enqueue`. */
  async perform<T>(
    names: readonly string[],
    dims: Dims,
    inputs: RunInputs,
    read: (values: Value[], copy: (v: Value) => Float32Array) => T,
    { signal, profile, state }: RunOptions,
  ): Promise<T> {
    const { layout, engine } = this;
    const program = layout.program(names, !!state);
    engine.memory.ensure(engine.top + program.reserve(dims));
    if (layout.weights.quantized && engine.build === "relaxed" && !engine.probed) {
      if (engine.memory.bytes >= engine.top + PROBE) probe(engine, engine.top);
      engine.probed = true;
    }
    const bound = program.bind(dims, engine.top, layout.weights, (v) => inputs[v.name] === undefined, state);
    for (const input of program.inputs) {
      const data = inputs[input.name];
      if (data?.length) engine.memory.write(bound.address(input), data, input.cols, bound.ld(input));
    }
    await this.#execute(bound, signal, profile);
    const copy = (v: Value) => {
      return engine.memory.read(bound.address(v), size(dims, v.rows), v.cols, bound.ld(v));
    };
    return read(layout.values(names, state && layout.stateful), copy);
  }

  async #execute(bound: Bound, signal?: AbortSignal, profile?: (steps: Profiled[]) => void): Promise<void> {
    const { engine } = this;
    if (!bound.steps.length) return;
    engine.memory.write(bound.at, bound.words);
    if (!profile) return engine.run(bound.at, bound.steps, signal);
    profile(await (await import("./profile.ts")).profile(engine, bound, signal));
  }

  /** Runs that were called for before still give their results, unless the engine was the session's own. */
  dispose(): void {
    const { engine, block } = this;
    if (block) engine.enqueue(() => engine.release(block)).catch(() => {});
    else engine.dispose();
  }
}
