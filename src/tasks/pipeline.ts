import type { ModelSource } from "../format/source.ts";
import { withFamilies } from "../models/load.ts";
import type { LoadOptions } from "../models/model.ts";
import { entry } from "../options.ts";
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

/**
 * Loads a model for a task; call shapes are transformers.js's. Without `model`, tasks over embeddings use the one that ships.
 * @throws UnsupportedOptionError for an unknown task, and what loadModel throws
 */
export async function pipeline<T extends keyof Pipelines>(
  task: T,
  model?: ModelSource,
  options: LoadOptions = {},
): Promise<Pipelines[T]> {
  const { TASKS } = await import("./registry.ts");
  const load = entry<Tasks[T]>(TASKS as never, task, "task");
  return (await load())(model, await withFamilies(options));
}

/**
 * Makes one file of a model, as `dtype` (q8 unless given) keeps it: weights as they lie in memory, a prepared tokenizer and the folder's
 * configs. It goes wherever a model goes, and loads as fast as it is read. The same model gives the same bytes.
 * @throws InputError if it is packed already, and what loadModel throws
 */
export async function pack(model: ModelSource, options: LoadOptions = {}): Promise<Uint8Array> {
  return (await import("./pack.ts")).pack(model, await withFamilies(options));
}
