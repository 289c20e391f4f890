import { InputError } from "../errors.ts";
import type { ModelSource } from "../format/source.ts";
import type { LoadOptions } from "../models/model.ts";
import { type FeatureExtraction, type FeatureExtractionOptions, featureExtraction } from "./featureExtraction.ts";
import { strings } from "./scores.ts";
import { type Task, task } from "./text.ts";

/** The cosine of each sentence with the source sentence. Options are those of feature-extraction. */
export type SentenceSimilarity = Task<
  (source_sentence: string, sentences: readonly string[], options?: FeatureExtractionOptions) => Promise<number[]>
>;

/** Vectors of length 1, [n][d]; mean pooling, as sentence-transformers does it, where the folder has no modules.json. */
export async function unitVectors(
  extract: FeatureExtraction,
  texts: readonly string[],
  options: FeatureExtractionOptions,
): Promise<Float32Array[]> {
  const pooling = extract.pools ? {} : { pooling: "mean" as const };
  const { data, dims } = await extract(texts, { ...pooling, ...options, normalize: true });
  return texts.map((_, i) => data.subarray(i * dims[1], (i + 1) * dims[1]));
}

export const dot = (a: Float32Array, b: Float32Array): number => a.reduce((sum, v, i) => sum + v * b[i], 0);

export async function sentenceSimilarity(source?: ModelSource, options?: LoadOptions): Promise<SentenceSimilarity> {
  const extract = await featureExtraction(source, options);
  return task(
    extract,
    async (source_sentence: string, sentences: readonly string[], o: FeatureExtractionOptions = {}) => {
      if (typeof source_sentence !== "string") throw new InputError("source_sentence must be a string");
      if (!strings("sentences", sentences).length) return [];
      const [one, ...others] = await unitVectors(extract, [source_sentence, ...sentences], o);
      return others.map((v) => dot(one, v));
    },
  );
}
