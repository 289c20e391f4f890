import type { ModelSource } from "../format/source.ts";
import type { MemoryPlan } from "../runtime/session.ts";
import type { LoadOptions, Model, PlanOptions } from "./model.ts";
import { FAMILIES } from "./registry.ts";

// What reads checkpoints is imported with the first model: an app of the attention layer alone does not carry it.

/**
 * Loads a model from a folder, file, URL, hub id or bytes.
 * @throws MissingFileError, FetchError, FormatError, ShapeError, WeightsError, UnsupportedModelError, UnsupportedOptionError, MemoryLimitError, AbortError
 */
export async function loadModel(source: ModelSource, options?: LoadOptions): Promise<Model> {
  return (await import("./model.ts")).loadModel(source, { families: FAMILIES, ...options });
}

/** Exact bytes that a model will take, from its config and headers alone: no weights are read, no memory is allocated. */
export async function plan(source: ModelSource, options: PlanOptions): Promise<MemoryPlan> {
  return (await import("./model.ts")).plan(source, { families: FAMILIES, ...options });
}
