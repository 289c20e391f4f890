import type { Tasks } from "./pipeline.ts";

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
