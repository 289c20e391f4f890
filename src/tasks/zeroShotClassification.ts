import { InputError } from "../errors.ts";
import { Config } from "../format/config.ts";
import { readJson } from "../format/read.ts";
import { type ModelSource, openFolder } from "../format/source.ts";
import type { LoadOptions } from "../models/model.ts";
import { platform } from "../platform.ts";
import { featureExtraction } from "./featureExtraction.ts";
import { type Each, loadFor, softmax, strings, topK } from "./scores.ts";
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

/** Scores [text][label] of the texts for their hypotheses. */
type Scorer = (
  texts: readonly string[],
  hypotheses: readonly string[],
  o: ZeroShotClassificationOptions,
) => Promise<number[][]>;

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
  const folder = await openFolder(source, options);
  const config = new Config((await readJson(folder, "config.json", options.signal)) ?? {});
  const classifies = config.strings("architectures")[0]?.endsWith("ForSequenceClassification");
  const { base, score } = await (classifies ? byEntailment : byEmbedding)(folder, options);

  return task(base, (async (
    texts: string | readonly string[],
    candidate_labels: string | readonly string[],
    o: ZeroShotClassificationOptions = {},
  ) => {
    const { hypothesis_template: template = "This example is {}." } = o;
    const split = (names: string) => names.split(",").map((name) => name.trim());
    const labels = strings(
      "candidate_labels",
      typeof candidate_labels === "string" ? split(candidate_labels).filter(Boolean) : candidate_labels,
    );
    if (!labels.length) throw new InputError("candidate_labels is empty");
    if (typeof template !== "string" || !template.includes("{}"))
      throw new InputError("hypothesis_template has no {} for the label");
    const list = strings("texts", [texts].flat());
    const hypotheses = labels.map((label) => template.replace("{}", () => label));
    const multi_label = o.multi_label || labels.length === 1;
    const scores = list.length ? await score(list, hypotheses, { ...o, multi_label }) : [];
    const found = list.map((sequence, i): ZeroShotClassified => {
      const order = topK(scores[i]);
      return { sequence, labels: order.map((j) => labels[j]), scores: order.map((j) => scores[i][j]) };
    });
    return Array.isArray(texts) ? found : found[0];
  }) as never) as ZeroShotClassification;
}

async function byEntailment(source: ModelSource, options: LoadOptions) {
  let entails = 0;
  const text = await loadFor(
    "zero-shot-classification",
    "SequenceClassification",
    source,
    options,
    (config, folder) => {
      const labels = config.labels();
      entails = labels.findIndex((label) => label.toLowerCase().startsWith("entail"));
      if (entails < 0)
        throw new InputError(
          `zero-shot-classification needs a label entail… of a classifier; ${folder.name} has ${labels.join(", ")}`,
        );
      return {};
    },
  );
  const score: Scorer = async (texts, hypotheses, o) => {
    const pairs = texts.flatMap((text) => hypotheses.map((text_pair) => ({ text, text_pair })));
    const logits = await classify(text, pairs, o, "only_first");
    return texts.map((_, i) => {
      const rows = logits.slice(i * hypotheses.length, (i + 1) * hypotheses.length);
      if (!o.multi_label) return softmax(rows.map((row) => row[entails]));
      // As transformers has it: contradiction is the first label, or the last where entailment is the first.
      return rows.map((row) => softmax([row.at(entails ? 0 : -1)!, row[entails]])[1]);
    });
  };
  return { base: text, score };
}

async function byEmbedding(source: ModelSource, options: LoadOptions) {
  const extract = await featureExtraction(source, options);
  const score: Scorer = async (texts, hypotheses, { multi_label, signal, progress_callback }) => {
    const all = await unitVectors(extract, [...texts, ...hypotheses], { signal, progress_callback });
    const labels = all.slice(texts.length);
    return all.slice(0, texts.length).map((v) => {
      const cosines = labels.map((label) => dot(v, label));
      return multi_label ? cosines.map((c) => Math.max(0, c)) : softmax(cosines.map((c) => SCALE * c));
    });
  };
  return { base: extract, score };
}
