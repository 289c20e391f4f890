import { InputError } from "../errors.ts";
import { Config } from "../format/config.ts";
import { openModel } from "../format/open.ts";
import { readJson } from "../format/read.ts";
import type { ModelSource } from "../format/source.ts";
import type { LoadOptions } from "../models/model.ts";
import { platform } from "../platform.ts";
import { featureExtraction } from "./featureExtraction.ts";
import { type Each, each, loadFor, softmax, strings, topK } from "./scores.ts";
import { dot, unitVectors } from "./sentenceSimilarity.ts";
import { type CallOptions, type Task, task } from "./text.ts";
import { classify } from "./textClassification.ts";

export interface ZeroShotClassificationOptions extends CallOptions {
  /** The sentence that a label makes at `{}`. Default "This example is {}." */
  hypothesis_template?: string;
  /** Score each label by itself instead of all against each other. Default false. */
  multi_label?: boolean;
}

/** Labels best first, with their scores. */
export interface ZeroShotClassified {
  sequence: string;
  labels: string[];
  scores: number[];
}

/** Sorts texts into classes named by the caller: an array of names, or a string of them with commas between. */
export type ZeroShotClassification = Task<
  <T extends string | readonly string[]>(
    texts: T,
    candidate_labels: string | readonly string[],
    options?: ZeroShotClassificationOptions,
  ) => Promise<Each<T, ZeroShotClassified>>
>;

/**
 * What a cosine is multiplied by before the softmax: the scale that sentence-transformers' MultipleNegativesRankingLoss trains
 * with (a temperature of 0.05, arXiv:2104.08821), so that scores are what the model learned to predict among candidates.
 */
const SCALE = 20;

type Score = (
  texts: readonly string[],
  hypotheses: readonly string[],
  alone: boolean,
  o: CallOptions,
) => Promise<number[][]>;
/** A model, and what scores [text][label] it gives. */
type Scorer = [base: Parameters<typeof task>[0], score: Score];

/**
 * With a classifier for natural language inference (a SequenceClassification with a label entail…) scores are transformers': softmax
 * over the labels' entailment logits; with `multi_label`, or one label, of entailment against contradiction.
 *
 * With any other model, and by default with the one that ships, texts and hypotheses are embedded: scores are softmax(20 · cosine) over
 * the labels; with `multi_label`, or one label, the cosine itself, at least 0: good to rank by and to set a threshold for, no probability.
 * @throws InputError for a classifier without such a label
 */
export async function zeroShotClassification(
  source: ModelSource = platform().shippedModel(),
  options: LoadOptions = {},
): Promise<ZeroShotClassification> {
  const folder = await openModel(source, options);
  const about = async () => new Config((await readJson(folder, "config.json", options.signal)) ?? {});
  const config = await about().catch(async (error) => {
    await folder.close?.();
    throw error;
  });
  const classifies = config.strings("architectures")[0]?.endsWith("ForSequenceClassification");
  const [base, score] = await (classifies ? byEntailment : byEmbedding)(folder, options);

  const call = (
    texts: string | readonly string[],
    candidate_labels: string | readonly string[],
    { hypothesis_template = "This example is {}.", multi_label = false, ...o }: ZeroShotClassificationOptions = {},
  ) =>
    each("texts", texts, async (list) => {
      const split = (names: string) => names.split(",").flatMap((name) => name.trim() || []);
      const names = typeof candidate_labels === "string" ? split(candidate_labels) : candidate_labels;
      const labels = strings("candidate_labels", names);
      if (!labels.length) throw new InputError("candidate_labels is empty");
      const template = String(hypothesis_template);
      if (!template.includes("{}")) throw new InputError("hypothesis_template has no {} for the label");
      const hypotheses = labels.map((label) => template.replace("{}", () => label));
      const scores = await score(list, hypotheses, multi_label || labels.length === 1, o);
      return list.map((sequence, i): ZeroShotClassified => {
        const order = topK(scores[i]);
        return { sequence, labels: order.map((j) => labels[j]), scores: order.map((j) => scores[i][j]) };
      });
    });
  return task(base, call as never) as ZeroShotClassification;
}

async function byEntailment(source: ModelSource, options: LoadOptions): Promise<Scorer> {
  let entails = 0;
  const name = "zero-shot-classification";
  const text = await loadFor(name, "SequenceClassification", source, options, (config, folder) => {
    const labels = config.labels();
    entails = labels.findIndex((label) => label.toLowerCase().startsWith("entail"));
    if (entails < 0) throw new InputError(`${name} needs a label entail…; ${folder.name} has ${labels.join(", ")}`);
    return undefined;
  });
  const score: Score = async (texts, hypotheses, alone, o) => {
    const pairs = texts.flatMap((text) => hypotheses.map((text_pair) => ({ text, text_pair })));
    const logits = await classify(text, pairs, o, "only_first");
    return texts.map((_, i) => {
      const rows = logits.slice(i * hypotheses.length, (i + 1) * hypotheses.length);
      // As transformers has it: contradiction is the first label, or the last where entailment is the first.
      return alone
        ? rows.map((row) => softmax([row.at(entails ? 0 : -1)!, row[entails]])[1])
        : softmax(rows.map((row) => row[entails]));
    });
  };
  return [text, score];
}

async function byEmbedding(source: ModelSource, options: LoadOptions): Promise<Scorer> {
  const extract = await featureExtraction(source, options);
  const score: Score = async (texts, hypotheses, alone, o) => {
    const vectors = await unitVectors(extract, [...texts, ...hypotheses], o);
    const labels = vectors.splice(texts.length);
    return vectors.map((v) => {
      const cosines = labels.map((label) => dot(v, label));
      return alone ? cosines.map((c) => Math.max(0, c)) : softmax(cosines.map((c) => SCALE * c));
    });
  };
  return [extract, score];
}
