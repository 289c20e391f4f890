import * as comlink from "comlink";
import { EngineError, InputError, throwIfAborted, WorkerError } from "../errors.ts";
import type { Host, Port, Request } from "./expose.ts";
import type { Library, Remote, RemoteLibrary } from "./remote.ts";
import { decode, encode, encodeAlone, kindOf, type Parcel, type Side, token } from "./wire.ts";

/** A worker of the web, one of node:worker_threads, or a port to either. */
export type WorkerLike = { postMessage(message: unknown, transfer?: never): void } & (
  | Pick<Port, "addEventListener" | "removeEventListener">
  | {
      on(type: string, listener: (value: unknown) => void): unknown;
      off(type: string, listener: (value: unknown) => void): unknown;
    }
);

/** Lets go of an object in a worker when nothing here refers to it any more. */
const unused = /* @__PURE__ */ new FinalizationRegistry<() => void>((release) => release());

/**
 * What the worker exposes (`expose`), as it is there: objects are used by methods and properties, every one a promise. Progress
 * callbacks and AbortSignals work, errors are of the same classes, results move instead of being copied.
 * `dispose()` ends the worker.
 */
export function connect<L extends object = Library>(worker: WorkerLike): RemoteLibrary<L> {
  const connection = new Connection(worker);
  return remote(connection, { target: 0 }, []) as RemoteLibrary<L>;
}

/** An object in the worker, shared by all that refers to it here. */
interface Ref {
  readonly target: number;
  disposed?: Promise<void>;
}

function remote(connection: Connection, ref: Ref, path: readonly string[]): object {
  const ask = (type: Request["type"], args: readonly unknown[]) => connection.ask(ref, type, path, args);
  const dispose = () => connection.dispose(ref);
  return new Proxy(function remote() {}, {
    get(_, key) {
      if (key === Symbol.dispose) return () => void dispose().catch(() => {});
      if (key === Symbol.asyncDispose || (key === "dispose" && !path.length)) return dispose;
      if (typeof key === "symbol") return undefined;
      if (key === "then") return path.length ? awaiting(() => ask("get", [])) : undefined;
      return remote(connection, ref, [...path, key]);
    },
    apply: (_, __, args) => iterable(ask("apply", args), args),
    construct: (_, args) => ask("construct", args),
  });
}

/** An answer that may also be iterated, where it is a generator in the worker: each value is a message there and back. */
function iterable(answer: Promise<unknown>, args: readonly unknown[]): Promise<unknown> & AsyncIterable<unknown> {
  return Object.assign(answer, {
    async *[Symbol.asyncIterator]() {
      // The worker forgets the signals of a call when it has answered.
      const { signal } = (args.find((a) => (a as { signal?: unknown } | null)?.signal) ?? {}) as {
        signal?: AbortSignal;
      };
      const there = (await answer) as Remote<AsyncGenerator<unknown>>;
      try {
        for (;;) {
          throwIfAborted(signal);
          const { done, value } = await there.next();
          if (done) return;
          yield value;
        }
      } finally {
        await there.return(undefined);
        await there.dispose();
      }
    },
  });
}

const awaiting =
  (get: () => Promise<unknown>): Promise<unknown>["then"] =>
  (then, otherwise) =>
    get().then(then, otherwise);

class Connection {
  readonly #host: comlink.Remote<Host>;
  readonly #worker: WorkerLike & { terminate?(): unknown; close?(): unknown };
  /** Who waits for an answer learns that none will come. */
  readonly #pending = new Set<(error: Error) => void>();
  #ended?: Error;
  #requests = 0;
  /** What lives in this worker may be an argument there. */
  readonly #refs = new WeakMap<object, Ref>();

  constructor(worker: WorkerLike) {
    this.#worker = worker;
    const end = (why: string, cause?: unknown) => this.#end(new WorkerError(`the worker ${why}`, { cause }));
    const failed = (e?: { message?: string; error?: unknown; preventDefault?(): void }) => {
      e?.preventDefault?.(); // it is told to those who asked
      end(`failed: ${e?.message || "its script could not be loaded or run"}`, e?.error ?? e);
    };
    const lost = () => end("gave an answer that cannot be read here");
    const exited = (code: unknown) => end(`exited with code ${code}`);
    const events = { error: failed, messageerror: lost, exit: exited, close: () => end("closed its port") };
    const listen = "addEventListener" in worker ? worker.addEventListener : worker.on;
    for (const [type, listener] of Object.entries(events)) listen.call(worker, type, listener as never);
    // A browser tells nobody that a worker was ended.
    const { terminate } = this.#worker;
    if (terminate)
      this.#worker.terminate = (...args: []) => {
        end("was terminated");
        return terminate.apply(worker, args);
      };
    this.#host = comlink.wrap<Host>(endpointOf(worker));
  }

  #end(error: Error): void {
    this.#ended ??= error;
    for (const reject of this.#pending) reject(this.#ended);
    this.#pending.clear();
  }

  /** Disposes of the object in the worker and lets go of it, once; of the worker itself where the object is the library. */
  async dispose(ref: Ref): Promise<void> {
    if (!ref.target) {
      this.#end(new WorkerError("the connection was disposed"));
      await (this.#worker.terminate ?? this.#worker.close)?.call(this.#worker);
      return;
    }
    unused.unregister(ref);
    const disposed = async () => {
      if (!this.#ended) await this.ask(ref, "dispose", [], []).catch((error) => this.#ended ?? Promise.reject(error));
    };
    ref.disposed ??= disposed();
    return ref.disposed;
  }

  async ask(ref: Ref, type: Request["type"], path: readonly string[], args: readonly unknown[]): Promise<unknown> {
    if (ref.disposed) throw new EngineError("the object was disposed");
    const id = ++this.#requests;
    const callbacks: ((...args: unknown[]) => unknown)[] = [];
    const settled: (() => void)[] = [];
    const parcel: Parcel = { transfer: new Set(), waits: [] };
    const side: Side = {
      moves: false, // arguments are the caller's
      send: (value, name) => {
        const known = this.#refs.get(value);
        if (known) return token("remote", { target: known.target });
        if (kindOf(value) === "AbortSignal") return this.#signal(value as AbortSignal, id, settled);
        if (typeof value !== "function" || !name.endsWith("_callback"))
          throw new InputError(`${name || "an argument"} cannot go to a worker: functions stay on their thread`);
        return token("callback", { number: callbacks.push(value as never) - 1 });
      },
      receive: (_, { target }) => this.#object(target as number),
    };
    try {
      const request = { id, type, target: ref.target, path, args: args.map((arg) => encode(arg, side, parcel)) };
      if (parcel.waits.length) await Promise.all(parcel.waits);
      const moved = comlink.transfer(request, [...parcel.transfer]);
      const back = async (n: number, values: unknown[]) => callbacks[n](...(decode(values, side) as unknown[]));
      const reply = await new Promise<{ value?: unknown; error?: unknown }>((resolve, reject) => {
        if (this.#ended) throw this.#ended;
        this.#pending.add(reject);
        settled.push(() => this.#pending.delete(reject));
        this.#host.call(moved, callbacks.length ? comlink.proxy(back) : undefined).then(resolve as never, reject);
      });
      if ("error" in reply) throw decode(reply.error, side);
      return decode(reply.value, side);
    } catch (error) {
      if (!(error instanceof Error && error.name === "DataCloneError")) throw error;
      throw new InputError(`an argument cannot go to a worker: ${error.message}`, { cause: error });
    } finally {
      for (const settle of settled) settle();
    }
  }

  /** A signal of request `id`, whose firing is told to the worker. */
  #signal(signal: AbortSignal, id: number, settled: (() => void)[]): object {
    const number = settled.length;
    const reason = () => encodeAlone(signal.reason);
    const abort = () => void this.#host.abort(id, number, reason());
    signal.addEventListener("abort", abort, { once: true });
    settled.push(() => signal.removeEventListener("abort", abort));
    return token("signal", { number, aborted: signal.aborted, reason: signal.aborted ? reason() : undefined });
  }

  #object(target: number): object {
    const ref: Ref = { target };
    const host = this.#host;
    unused.register(ref, () => void host.release(target), ref);
    const object = remote(this, ref, []);
    this.#refs.set(object, ref);
    return object;
  }
}

/** What node:worker_threads has is no EventTarget. */
function endpointOf(worker: WorkerLike): comlink.Endpoint {
  if ("addEventListener" in worker) return worker as comlink.Endpoint;
  const listeners = new Map<unknown, (data: unknown) => void>();
  return {
    postMessage: worker.postMessage.bind(worker) as comlink.Endpoint["postMessage"],
    addEventListener(type, listener) {
      const heard = (data: unknown) => (listener as unknown as (event: { data: unknown }) => void)({ data });
      listeners.set(listener, heard);
      worker.on(type, heard);
    },
    removeEventListener: (type, listener) => worker.off(type, listeners.get(listener) as never),
  };
}
