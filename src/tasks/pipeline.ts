import { UnsupportedOptionError } from "../errors.ts";
import type { ModelSource } from "../format/source.ts";
import type { LoadOptions } from "../models/model.ts";
import { type FeatureExtraction, featureExtraction } from "./featureExtraction.ts";

/** What `pipeline` gives for each task. */
export interface Pipelines {
  "feature-extraction": FeatureExtraction;
}

const TASKS: { [T in keyof Pipelines]: (source?: ModelSource, options?: LoadOptions) => Promise<Pipelines[T]> } = {
  "feature-extraction": featureExtraction,
};

/**
 * Loads a model for a task; call shapes are transformers.js's. Without `model`, tasks over embeddings use the one that ships.
 * @throws UnsupportedOptionError for an unknown task, and what loadModel throws
 */
export async function pipeline<T extends keyof Pipelines>(
  task: T,
  model?: ModelSource,
  options: LoadOptions = {},
): Promise<Pipelines[T]> {
  if (!Object.hasOwn(TASKS, task)) throw new UnsupportedOptionError("task", task, Object.keys(TASKS));
  return TASKS[task](model, options);
}
