/**
 * What `wattention` is without its families and tasks, which then come by import statements of their own: `wattention/families/bert`,
 * `wattention/tasks/featureExtraction`. For bundles in one file that hold what is used and nothing else.
 */

export * from "./errors.ts";
export type { ModelFiles, ModelSource, SourceOptions } from "./format/source.ts";
export type { Encoding, Tokenizer } from "./format/tokenizer.ts";
export type { Families } from "./models/families.ts";
export {
  type LoadOptions,
  loadModel,
  type Model,
  type ModelOutputs,
  type PlanOptions,
  type Progress,
  plan,
} from "./models/model.ts";
export { type AttentionCallOptions, scaledDotProductAttention } from "./nn/attention.ts";
export { MultiheadAttention, type MultiheadAttentionOptions, type MultiheadForwardOptions } from "./nn/multihead.ts";
export type { WasmSource } from "./platform.ts";
export type { EngineOptions } from "./runtime/engine.ts";
export type { MemoryPlan, Profiled } from "./runtime/session.ts";
export { type Hit, type SearchOptions, VectorIndex } from "./tasks/vectorIndex.ts";
export { Tensor, type TensorLike } from "./tensor.ts";
