export * from "./errors.ts";
export { type LoadOptions, loadModel, type Model, type ModelOutputs, type Progress, plan } from "./models/model.ts";
export { supportedModels } from "./models/registry.ts";
export { type AttentionCallOptions, scaledDotProductAttention } from "./nn/attention.ts";
export { MultiheadAttention, type MultiheadAttentionOptions, type MultiheadForwardOptions } from "./nn/multihead.ts";
export { type Pipelines, pipeline } from "./tasks/pipeline.ts";
export type { Document, Found, SemanticSearch } from "./tasks/semanticSearch.ts";
export { type Hit, type SearchOptions, VectorIndex } from "./tasks/vectorIndex.ts";
export { Tensor, type TensorLike } from "./tensor.ts";
