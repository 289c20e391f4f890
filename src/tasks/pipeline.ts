import { UnsupportedOptionError } from "../errors.ts";
import type { ModelSource } from "../format/source.ts";
import type { LoadOptions } from "../models/model.ts";
import type { FeatureExtraction } from "./featureExtraction.ts";
import type { SemanticSearch } from "./semanticSearch.ts";

/** What `pipeline` gives for each task. */
export interface Pipelines {
  "feature-extraction": FeatureExtraction;
  "semantic-search": SemanticSearch;
}

type Load<T> = (source?: ModelSource, options?: LoadOptions) => Promise<T>;

/** Each task is a module of its own, imported when it is asked for. */
const TASKS: { [T in keyof Pipelines]: () => Promise<Load<Pipelines[T]>> } = {
  "feature-extraction": async () => (await import("./featureExtraction.ts")).featureExtraction,
  "semantic-search": async () => (await import("./semanticSearch.ts")).semanticSearch,
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
  return (await TASKS[task]())(model, options);
}
