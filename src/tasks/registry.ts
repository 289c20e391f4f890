import type { ModelSource } from "../format/source.ts";
import type { LoadOptions } from "../models/model.ts";
import type { FeatureExtraction } from "./featureExtraction.ts";
import type { FillMask } from "./fillMask.ts";
import type { ImageClassification } from "./imageClassification.ts";
import type { ImageToText } from "./imageToText.ts";
import type { QuestionAnswering } from "./questionAnswering.ts";
import type { Recommendation } from "./recommendation.ts";
import type { SemanticSearch } from "./semanticSearch.ts";
import type { SentenceSimilarity } from "./sentenceSimilarity.ts";
import type { AutomaticSpeechRecognition } from "./speechRecognition.ts";
import type { Summarization, Text2TextGeneration, Translation } from "./text2text.ts";
import type { TextClassification } from "./textClassification.ts";
import type { TextGeneration } from "./textGeneration.ts";
import type { TextRanking } from "./textRanking.ts";
import type { TokenClassification } from "./tokenClassification.ts";
import type { ZeroShotClassification } from "./zeroShotClassification.ts";
import type { ZeroShotImageClassification } from "./zeroShotImageClassification.ts";

/** What `pipeline` gives for each task. */
export interface Pipelines {
  "automatic-speech-recognition": AutomaticSpeechRecognition;
  "feature-extraction": FeatureExtraction;
  "fill-mask": FillMask;
  "image-classification": ImageClassification;
  "image-to-text": ImageToText;
  "question-answering": QuestionAnswering;
  recommendation: Recommendation;
  "semantic-search": SemanticSearch;
  "sentence-similarity": SentenceSimilarity;
  summarization: Summarization;
  "text-classification": TextClassification;
  "text-generation": TextGeneration;
  "text-ranking": TextRanking;
  "text2text-generation": Text2TextGeneration;
  "token-classification": TokenClassification;
  translation: Translation;
  "zero-shot-classification": ZeroShotClassification;
  "zero-shot-image-classification": ZeroShotImageClassification;
}

/** What imports each of them, when it is asked for. */
export type Tasks = {
  readonly [T in keyof Pipelines]: () => Promise<
    (source?: ModelSource, options?: LoadOptions) => Promise<Pipelines[T]>
  >;
};

/** Each task is a module of its own, imported when it is asked for. */
export const TASKS: Tasks = {
  "automatic-speech-recognition": async () => (await import("./speechRecognition.ts")).automaticSpeechRecognition,
  "feature-extraction": async () => (await import("./featureExtraction.ts")).featureExtraction,
  "fill-mask": async () => (await import("./fillMask.ts")).fillMask,
  "image-classification": async () => (await import("./imageClassification.ts")).imageClassification,
  "image-to-text": async () => (await import("./imageToText.ts")).imageToText,
  "question-answering": async () => (await import("./questionAnswering.ts")).questionAnswering,
  recommendation: async () => (await import("./recommendation.ts")).recommendation,
  "semantic-search": async () => (await import("./semanticSearch.ts")).semanticSearch,
  "sentence-similarity": async () => (await import("./sentenceSimilarity.ts")).sentenceSimilarity,
  summarization: async () => (await import("./text2text.ts")).summarization,
  "text-classification": async () => (await import("./textClassification.ts")).textClassification,
  "text-generation": async () => (await import("./textGeneration.ts")).textGeneration,
  "text-ranking": async () => (await import("./textRanking.ts")).textRanking,
  "text2text-generation": async () => (await import("./text2text.ts")).text2textGeneration,
  "token-classification": async () => (await import("./tokenClassification.ts")).tokenClassification,
  translation: async () => (await import("./text2text.ts")).translation,
  "zero-shot-classification": async () => (await import("./zeroShotClassification.ts")).zeroShotClassification,
  "zero-shot-image-classification": async () =>
    (await import("./zeroShotImageClassification.ts")).zeroShotImageClassification,
};
