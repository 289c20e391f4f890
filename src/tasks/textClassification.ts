import type { ModelSource } from "../format/source.ts";
import type { LoadOptions } from "../models/model.ts";
import { best, choice, countOrAll, loadFor, sigmoid, softmax, type Top } from "./scores.ts";
import { type CallOptions, type Task, type TextModel, task } from "./text.ts";

/** A text, or two that the model reads together. */
export type TextInput = string | { readonly text: string; readonly text_pair?: string };

export interface Classified {
  label: string;
  score: number;
}

export interface TextClassificationOptions<K extends number | null = number | null> extends CallOptions {
  /** How many labels of each text, best first; null for all. Default 1. */
  top_k?: K;
  /** Default, as in transformers: none for a regression, sigmoid for one label or a multi-label model, else softmax. */
  function_to_apply?: "softmax" | "sigmoid" | "none";
}

/** Labels with scores: a list for one text; for several one label each, or a list each where `top_k` is not 1. */
export type TextClassification = Task<
  <T extends TextInput | readonly TextInput[], K extends number | null = 1>(
    texts: T,
    options?: TextClassificationOptions<K>,
  ) => Promise<T extends readonly unknown[] ? Top<K, Classified>[] : Classified[]>
>;

const FUNCTIONS = { softmax, sigmoid: (x: Float32Array) => Array.from(x, sigmoid), none: (x: Float32Array) => x };

/** The logits of each text or pair. */
export async function classify(
  text: TextModel,
  inputs: readonly TextInput[],
  options: CallOptions,
  truncation: true | "only_first" = true,
): Promise<Float32Array[]> {
  const rows: Float32Array[] = [];
  const encodings = inputs.map((input) => {
    const { text: one, text_pair } = typeof input === "object" && input ? input : { text: input };
    return text.encode(one, text_pair, { truncation });
  });
  await text.each(encodings, ["logits"], (_, row) => rows.push(row), options);
  return rows;
}

export async function textClassification(source?: ModelSource, options?: LoadOptions): Promise<TextClassification> {
  const text = await loadFor("text-classification", "SequenceClassification", source, options);
  const { config } = text.model;
  const labels = config.labels();
  const problem = config.string<string>("problem_type", undefined, "");
  const single = problem === "multi_label_classification" || labels.length === 1;
  const usual = problem === "regression" ? "none" : single ? "sigmoid" : "softmax";

  return task(text, (async (texts: TextInput | readonly TextInput[], o: TextClassificationOptions = {}) => {
    const { top_k = 1, function_to_apply = usual } = o;
    const k = countOrAll("top_k", top_k);
    choice("function_to_apply", function_to_apply, Object.keys(FUNCTIONS));
    const rows = await classify(text, [texts].flat() as TextInput[], o);
    const found = rows.map((row) => {
      const scores = FUNCTIONS[function_to_apply](row);
      return best(
        labels.map((label, i): Classified => ({ label, score: scores[i] })),
        k,
      );
    });
    return Array.isArray(texts) && k !== 1 ? found : found.flat();
  }) as never) as TextClassification;
}
