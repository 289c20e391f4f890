import { AbortError, EngineError, throwIfAborted, UnsupportedOptionError, WattentionError } from "../errors.ts";
import type { Node } from "../graph/graph.ts";
import type { Step } from "../graph/lower.ts";
import { Part } from "../graph/op.ts";
import { type Build, type Compiled, fromBase64, platform, type WasmSource } from "../platform.ts";
import { Memory } from "./memory.ts";
import { type Range, Ranges } from "./ranges.ts";

/** What assembly/index.ts exports. */
interface Exports extends Record<string, unknown> {
  run(program: number, first: number, last: number, part: number, parts: number): void;
  convert(out: number, bytes: number, count: number, dtype: number): void;
  pack_rows(out: number, bytes: number, first: number, rows: number, k: number, dtype: number): void;
  pack_columns(out: number, bytes: number, first: number, rows: number, n: number, k: number, dtype: number): void;
  quantize_weights(
    out: number,
    scales: number,
    x: number,
    scratch: number,
    first: number,
    rows: number,
    k: number,
    format: number,
  ): void;
  fuse_dots(on: number): void;
  version(): number;
  heap_base(): number;
}

const VERSION = 4;

/** First byte that the host may use: behind the data of either build, so that a plan holds for both. */
export const BASE = 8192;

export interface EngineOptions {
  /** Bytes of linear memory that may be used; at most 4 GiB, the default. */
  memory_limit?: number;
  /** The same bits on every engine: the build without fused multiply-adds. */
  deterministic?: boolean;
  /**
   * wattention/wasm/simd or wattention/wasm/relaxed in place of the host's own way to it: compiled, as bytes, as a response (compiled
   * as it comes), or where it is.
   */
  wasm?: WasmSource | PromiseLike<WasmSource>;
}

/** A module of one function with an i8x16.relaxed_swizzle: engines without relaxed SIMD refuse it. */
const RELAXED = fromBase64("AGFzbQEAAAABBQFgAAF7AwIBAAoPAQ0AQQH9D0EC/Q/9gAIL");

let relaxed: boolean | undefined;

/** Builds are compiled once. */
const modules = new Map<Build, Promise<WebAssembly.Module>>();

/** @throws EngineError if the module is not this library's or the host refuses it */
async function moduleOf({ deterministic, wasm }: EngineOptions): Promise<Compiled> {
  try {
    if (wasm) {
      const found = await (await import("./wasm.ts")).given(wasm);
      if (deterministic && found.build !== "simd")
        throw new UnsupportedOptionError("wasm with deterministic: true", found.build, ["simd"]);
      return found;
    }
    const build = deterministic ? "simd" : supportedBuild();
    const module = modules.get(build) ?? platform().module(build);
    modules.set(build, module);
    module.catch(() => modules.delete(build));
    return { build, module: await module };
  } catch (cause) {
    throw refused(cause);
  }
}

/** What a host's refusal means. */
function refused(cause: unknown): WattentionError {
  if (cause instanceof WattentionError) return cause;
  // Chrome, Firefox and Safari each word it their way, and so does workerd.
  const why = /content security policy|\bcsp\b|unsafe-eval/i.test(String(cause))
    ? "this page's Content-Security-Policy forbids WebAssembly (script-src needs 'wasm-unsafe-eval')"
    : /embedder/.test(String(cause))
      ? "this host compiles no WebAssembly at run time (import the module and give it as wasm)"
      : "the module and this host do not fit (WebAssembly with SIMD is needed)";
  return new EngineError(`${why}: ${cause}`, { cause });
}

/** The build that this host runs. */
export function supportedBuild(): Build {
  relaxed ??= WebAssembly.validate(RELAXED);
  return relaxed ? "relaxed" : "simd";
}

/** Milliseconds of work between two turns of the event loop, and in one call of the module: together well under 50. */
const TURN = 12;
const CALL = 8;
/** Milliseconds per unit of work before anything was measured: slow, so that first calls are short. */
const SLOW = 1 / 2e6;

/** Reserved bytes. */
export type Block = Range;

/** One instance of the module and its memory. Calls on it queue; a long run gives the event loop its turn. */
export class Engine {
  readonly build: Build;
  readonly memory: Memory;
  readonly exports: Exports;
  /** Whether the forms of the integer tiles were tried (probe.ts). */
  probed = false;
  /** What is reserved for good. */
  readonly #blocks = new Ranges(BASE);
  #busy = false;
  /** What wakes those that wait for their turn. */
  readonly #waiting: (() => void)[] = [];
  #disposed = false;
  /** Milliseconds per unit of work by op, as last seen. */
  readonly #pace = new Map<Node["op"], number>();

  private constructor(build: Build, memory: Memory, exports: Exports) {
    this.build = build;
    this.memory = memory;
    this.exports = exports;
  }

  /** @throws EngineError if the host has no WebAssembly SIMD or forbids it, or the module is not this version's. */
  static async create(options: EngineOptions = {}): Promise<Engine> {
    const memory = new Memory(options.memory_limit);
    const { build, module } = await moduleOf(options);
    try {
      // The loader's own way looks for a Response, for which Node loads its whole fetch: 10 ms and some MB.
      const instance = await WebAssembly.instantiate(module, { env: { memory: memory.memory } });
      const exports = (await import("@assemblyscript/loader")).demangle<Exports>(instance.exports);
      if (exports.version() !== VERSION || exports.heap_base() > BASE)
        throw new EngineError(`the module is version ${exports.version()}, this library needs ${VERSION}`);
      return new Engine(build, memory, exports);
    } catch (cause) {
      throw refused(cause);
    }
  }

  /** First byte behind all that is reserved: scratch begins here. */
  get top(): number {
    return this.#blocks.top;
  }

  /** Keeps `bytes` (a multiple of 64) until they are released, in the lowest gap that holds them. Call it within `enqueue`. */
  reserve(bytes: number): Block {
    return this.#blocks.reserve(bytes);
  }

  /** The block with another size where it is, if it is the topmost. Call it within `enqueue`. */
  extend(block: Block, bytes: number): Block | undefined {
    return this.#blocks.extend(block, bytes);
  }

  /** Call it within `enqueue`: work that is under way or queued before has its weights there, and its scratch behind `top`. */
  release(block: Block): void {
    this.#blocks.release(block);
  }

  /** Runs `work` when all earlier work is done, whether or not that failed; never, if `signal` fires before that. */
  async enqueue<T>(work: () => Promise<T> | T, signal?: AbortSignal): Promise<T> {
    throwIfAborted(signal);
    if (this.#busy) {
      const turn = this.#turn(signal);
      await (platform().waiting?.(turn) ?? turn);
    }
    this.#busy = true;
    try {
      await undefined; // as if it had waited: what the caller does next comes first
      if (this.#disposed) throw new EngineError("the engine was disposed");
      throwIfAborted(signal);
      return await work();
    } finally {
      const next = this.#waiting.shift();
      this.#busy = !!next;
      next?.();
    }
  }

  /**
   * Waits in the queue. Who leaves it leaves nothing behind: Workers run what follows a promise for the request that made it, and never if
   * that is over, so that a place in a chain of promises, left by a request whose client went away, would stop all behind it.
   */
  #turn(signal?: AbortSignal): Promise<void> {
    return new Promise((resolve, reject) => {
      const leave = () => {
        this.#waiting.splice(this.#waiting.indexOf(go), 1);
        reject(new AbortError(signal!.reason));
      };
      const go = () => {
        signal?.removeEventListener("abort", leave);
        resolve();
      };
      this.#waiting.push(go);
      signal?.addEventListener("abort", leave, { once: true });
    });
  }

  /** Executes the op list at `program`. Call it within `enqueue`. @throws AbortError between ranges, EngineError if the module traps. */
  async run(program: number, steps: readonly Step[], signal?: AbortSignal): Promise<void> {
    const expected = (step: Step) => workOf(step) * (this.#pace.get(step.node.op) ?? SLOW);
    let turn = performance.now();
    let since = 0;
    const call = async (part: readonly Step[], first: number, last: number, share: number, index = 0, count = 1) => {
      const start = performance.now();
      this.call(program, first, last, index, count);
      const now = performance.now();
      const guess = share * part.reduce((ms, step) => ms + expected(step), 0);
      const took = now - start;
      // Short calls say nothing, and one that another process delayed little: a pace moves by steps.
      if (took > 0.2 || (guess > 0.2 && took > 0)) {
        const ratio = Math.min(4, Math.max(0.25, took / guess));
        for (const op of new Set(part.map((step) => step.node.op)))
          this.#pace.set(op, Math.min(1, (this.#pace.get(op) ?? SLOW) * ratio)); // finite, whatever the clock does
      }
      // A clock that stands still between I/O (Workers) says nothing either: then what was expected counts.
      since += guess;
      if (now > turn ? now - turn < TURN : since < TURN) return;
      await platform().pause();
      throwIfAborted(signal);
      since = 0;
      turn = performance.now();
    };
    throwIfAborted(signal);
    for (let i = 0; i < steps.length; ) {
      const from = i;
      let ms = 0;
      while (i < steps.length && (i === from || ms + expected(steps[i]) < CALL)) ms += expected(steps[i++]);
      const { first } = steps[from];
      const { last } = steps[i - 1];
      // One op alone may be cut: by rows, and by records where it has several.
      const parts = Math.max(1, Math.min(Math.ceil(ms / CALL), Math.ceil(steps[from].rows / Part.rows)));
      const records = ms > CALL ? last - first : 1;
      if (parts * records === 1) await call(steps.slice(from, i), first, last, 1);
      else
        for (let r = first; r < last; r++)
          for (let p = 0; p < parts; p++) await call([steps[from]], r, r + 1, 1 / parts / records, p, parts);
    }
  }

  /** One call of the module's executor. */
  call(program: number, first: number, last: number, part = 0, parts = 1): void {
    try {
      this.exports.run(program, first, last, part, parts);
    } catch (cause) {
      throw new EngineError(`the module trapped: ${cause}`, { cause });
    }
  }

  /** After this every call fails with EngineError; the memory is free once nothing refers to the engine. */
  dispose(): void {
    this.#disposed = true;
  }
}

const shared = new WeakMap<WebAssembly.Module, Promise<Engine>>();

/** The engine of all small layers that are used by themselves, one for each module: a memory costs at least a page and never shrinks. */
export async function sharedEngine(options: EngineOptions = {}): Promise<Engine> {
  const { module } = await moduleOf(options);
  const engine = shared.get(module) ?? Engine.create(options);
  shared.set(module, engine);
  engine.catch(() => shared.delete(module));
  return engine;
}

/** Work of a step in its op's own unit. */
function workOf(step: Step): number {
  return step.flops || step.bytes;
}
