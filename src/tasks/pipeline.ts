import type { ModelSource } from "../format/source.ts";
import { withFamilies } from "../models/load.ts";
import type { LoadOptions } from "../models/model.ts";
import { entry } from "../options.ts";
import type { Pipelines, Tasks } from "./registry.ts";

export type { Pipelines } from "./registry.ts";

/**
 * Loads a model for a task; call shapes are transformers.js's. Without `model`, tasks over embeddings use the one that ships.
 * @throws UnsupportedOptionError for an unknown task, and what loadModel throws
 */
export async function pipeline<T extends keyof Pipelines>(
  task: T,
  model?: ModelSource,
  options: LoadOptions = {},
): Promise<Pipelines[T]> {
  const { TASKS } = await import("./registry.ts");
  const load = entry<Tasks[T]>(TASKS as never, task, "task");
  return (await load())(model, await withFamilies(options));
}

/**
 * Makes one file of a model, as `dtype` (q8 unless given) keeps it: weights as they lie in memory, a prepared tokenizer and the folder's
 * configs. It goes wherever a model goes, and loads as fast as it is read. The same model gives the same bytes.
 * @throws InputError if it is packed already, and what loadModel throws
 */
export async function pack(model: ModelSource, options: LoadOptions = {}): Promise<Uint8Array> {
  return (await import("./pack.ts")).pack(model, await withFamilies(options));
}
