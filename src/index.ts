export * from "./errors.ts";
export { type LoadOptions, loadModel, type Model, type ModelOutputs, type Progress, plan } from "./models/model.ts";
export { supportedModels } from "./models/registry.ts";
export {
  type AttentionCallOptions,
  MultiheadAttention,
  type MultiheadAttentionOptions,
  type MultiheadForwardOptions,
  scaledDotProductAttention,
  type TensorLike,
} from "./nn/attention.ts";
export { type Pipelines, pipeline } from "./tasks/pipeline.ts";
export { Tensor } from "./tensor.ts";
