import type { ModelSource } from "../format/source.ts";
import type { MemoryPlan } from "../runtime/session.ts";
import type { LoadOptions, Model, PlanOptions } from "./model.ts";

// What reads checkpoints is imported with the first model: an app of the attention layer alone does not carry it.

/** Options by which a model may be of any family: all of them are known here. */
export const withFamilies = async <O extends object>(options?: O): Promise<O & LoadOptions> =>
  ({ families: (await import("./registry.ts")).FAMILIES, ...options }) as O & LoadOptions;

/** The `model_type`s that can be loaded. */
export async function supportedModels(): Promise<string[]> {
  return (await import("./registry.ts")).supportedModels();
}

/**
 * Loads a model from a folder, file, URL, hub id or bytes.
 * @throws MissingFileError, FetchError, FormatError, ShapeError, WeightsError, UnsupportedModelError, UnsupportedOptionError, MemoryLimitError, AbortError
 */
export async function loadModel(source: ModelSource, options?: LoadOptions): Promise<Model> {
  return (await import("./model.ts")).loadModel(source, await withFamilies(options));
}

/** Exact bytes that a model will take, from its config and headers alone: no weights are read, no memory is allocated. */
export async function plan(source: ModelSource, options: PlanOptions): Promise<MemoryPlan> {
  return (await import("./model.ts")).plan(source, await withFamilies(options));
}
