export * from "./errors.ts";
export { type LoadOptions, loadModel, type Model, type ModelOutputs, type Progress, plan } from "./models/model.ts";
export { supportedModels } from "./models/registry.ts";
export { Tensor } from "./tensor.ts";
