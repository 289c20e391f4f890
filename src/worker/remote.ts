/** The types of what lives in a worker, as the page sees it. */

import type { loadModel, plan } from "../models/load.ts";
import type { scaledDotProductAttention } from "../nn/attention.ts";
import type { MultiheadAttention } from "../nn/multihead.ts";
import type { Pipelines, pack, pipeline } from "../tasks/pipeline.ts";
import type { TaskMembers } from "../tasks/text.ts";
import type { VectorIndex } from "../tasks/vectorIndex.ts";
import type { Tensor } from "../tensor.ts";

/** What `import * as wattention from "wattention"` gives and a page may use. */
export interface Library {
  pipeline: typeof pipeline;
  loadModel: typeof loadModel;
  plan: typeof plan;
  pack: typeof pack;
  supportedModels: typeof import("../models/load.ts").supportedModels;
  scaledDotProductAttention: typeof scaledDotProductAttention;
  MultiheadAttention: typeof MultiheadAttention;
  VectorIndex: typeof VectorIndex;
}

type Any = (...args: never[]) => unknown;
type Class = new (...args: never[]) => unknown;
/** Objects that messages copy or move. */
type Data =
  | Tensor
  | Tensor<Int32Array>
  | ArrayBuffer
  | ArrayBufferView
  | Date
  | Error
  | ReadonlyMap<unknown, unknown>
  | ReadonlySet<unknown>;
/** Whether something has methods, and so stays in the worker. */
type Behaves<T> = T extends Data | readonly unknown[]
  ? false
  : T extends Any
    ? true
    : T extends object
      ? true extends { [K in keyof T]-?: T[K] extends Any ? true : false }[keyof T]
        ? true
        : false
      : false;

/** A value as it comes out of the worker: data as it is, what has methods as a `Remote`. */
export type Sent<T> = T extends Data | readonly unknown[]
  ? T
  : Behaves<T> extends true
    ? Remote<T>
    : T extends object
      ? { [K in keyof T]: Sent<T[K]> }
      : T;

type Arguments<F> = F extends (...args: infer A) => unknown ? A : never;
type Awaitable<T> = Promise<Sent<Awaited<T>>>;
/** A function that gives a promise of data is the same there and here, type parameters included. */
type Call<F> = F extends (...args: never[]) => Promise<infer R>
  ? Sent<R> extends R
    ? F
    : (...args: Arguments<F>) => Awaitable<R>
  : F extends (...args: infer A) => AsyncGenerator<infer T, void, undefined>
    ? (...args: A) => AsyncIterable<Sent<T>>
    : F extends (...args: infer A) => infer R
      ? (...args: A) => Awaitable<R>
      : unknown;
type Construct<F> = F extends new (...args: infer A) => infer R ? new (...args: A) => Awaitable<R> : unknown;

/** A method, an object to reach through, or a value to await. */
type Property<T> = T extends Any | Class
  ? Call<T> & Construct<T> & (T extends Class ? Members<Omit<T, "prototype">> : unknown)
  : Behaves<T> extends true
    ? Remote<T> & PromiseLike<Remote<T>>
    : Promise<Sent<T>> & (T extends Data | readonly unknown[] ? unknown : T extends object ? Members<T> : unknown);

type Members<T> = {
  readonly [K in keyof T as K extends string ? (K extends "dispose" ? never : K) : never]: Property<T[K]>;
};

export interface Disposable {
  /** Frees it in the worker; a second call does nothing more. */
  dispose(): Promise<void>;
  [Symbol.dispose](): void;
  [Symbol.asyncDispose](): Promise<void>;
}

/** Something in a worker: its methods and properties are promises here. The call of a task is the same, type parameters included. */
export type Remote<T> = (T extends infer F & TaskMembers
  ? F & Members<TaskMembers>
  : (T extends Any ? Call<T> : unknown) & Members<T>) &
  Disposable;

export type RemotePipelines = { [T in keyof Pipelines]: Remote<Pipelines[T]> };

type Tail<F> = F extends (first: never, ...rest: infer R) => unknown ? R : never;

export type RemoteLibrary<L> = Omit<Members<L>, "pipeline"> &
  (L extends { pipeline: typeof pipeline }
    ? {
        pipeline<T extends keyof Pipelines>(task: T, ...rest: Tail<typeof pipeline>): Promise<RemotePipelines[T]>;
      }
    : unknown) &
  Disposable;
