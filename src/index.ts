export * from "./errors.ts";
export type { ImageProcessor } from "./format/image/processor.ts";
export type { ImageSource } from "./format/image/read.ts";
export type { ModelFiles, ModelSource, SourceOptions } from "./format/source.ts";
export type { ChatTemplateOptions, Message } from "./format/tokenizer/chat.ts";
export type { Encoding, Tokenizer } from "./format/tokenizer.ts";
export type { Cache } from "./generate/cache.ts";
export type { Token } from "./generate/loop.ts";
export type { GenerateOptions, LogitsProcessor } from "./generate/options.ts";
export type { GenerateInputs } from "./generate/prompt.ts";
export { loadModel, plan, supportedModels } from "./models/load.ts";
export type { LoadOptions, Model, ModelOutputs, PlanOptions, Progress } from "./models/model.ts";
export { type AttentionCallOptions, scaledDotProductAttention } from "./nn/attention.ts";
export { MultiheadAttention, type MultiheadAttentionOptions, type MultiheadForwardOptions } from "./nn/multihead.ts";
export type { RawImage, WasmSource } from "./platform.ts";
export type { EngineOptions } from "./runtime/engine.ts";
export type { CacheOptions } from "./runtime/kept.ts";
export type { MemoryPlan, Profiled } from "./runtime/session.ts";
export type { FeatureExtraction, FeatureExtractionOptions } from "./tasks/featureExtraction.ts";
export type { Filled, FillMask, FillMaskOptions } from "./tasks/fillMask.ts";
export { loadImageProcessor, readImage } from "./tasks/image.ts";
export type { ImageClassification, ImageClassificationOptions } from "./tasks/imageClassification.ts";
export type { ImageToText } from "./tasks/imageToText.ts";
export { type Pipelines, pack, pipeline } from "./tasks/pipeline.ts";
export type { Answer, QuestionAnswering, QuestionAnsweringOptions } from "./tasks/questionAnswering.ts";
export type {
  Recommendation,
  RecommendationOptions,
  RecommendationSession,
  Recommended,
} from "./tasks/recommendation.ts";
export type { Document, Found, SemanticSearch } from "./tasks/semanticSearch.ts";
export type { SentenceSimilarity } from "./tasks/sentenceSimilarity.ts";
export type {
  Summarization,
  Text2TextGeneration,
  Text2TextOptions,
  Translation,
  TranslationOptions,
} from "./tasks/text2text.ts";
export type {
  Classified,
  TextClassification,
  TextClassificationOptions,
  TextInput,
} from "./tasks/textClassification.ts";
export type { Generated, TextGeneration, TextGenerationOptions } from "./tasks/textGeneration.ts";
export type { Ranked, TextRanking, TextRankingOptions } from "./tasks/textRanking.ts";
export type {
  Entity,
  LabelledToken,
  TokenClassification,
  TokenClassificationOptions,
} from "./tasks/tokenClassification.ts";
export { type Hit, type SearchOptions, VectorIndex } from "./tasks/vectorIndex.ts";
export type {
  ZeroShotClassification,
  ZeroShotClassificationOptions,
  ZeroShotClassified,
} from "./tasks/zeroShotClassification.ts";
export type {
  ZeroShotImageClassification,
  ZeroShotImageClassificationOptions,
} from "./tasks/zeroShotImageClassification.ts";
export { Tensor, type TensorLike } from "./tensor.ts";
