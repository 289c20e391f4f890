import type { ModelSource } from "../format/source.ts";
import type { LoadOptions } from "../models/model.ts";
import { choice, count, loadFor, sigmoid, softmax, type Top, topK } from "./scores.ts";
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

const FUNCTIONS = { softmax, sigmoid: (x: number[]) => x.map(sigmoid), none: (x: number[]) => x };

/** One row of logits for each text or pair. */
export async function classify(
  text: TextModel,
  inputs: readonly TextInput[],
  options: CallOptions,
  truncation: true | "only_first" = true,
): Promise<number[][]> {
  const rows: number[][] = [];
  const encodings = inputs.map((input) => {
    const { text: first, text_pair } = typeof input === "object" && input ? input : { text: input };
    return text.encode(first, text_pair, { truncation });
  });
  const read = ({ logits }: { [name: string]: { tolist(): unknown } }) => rows.push(...(logits.tolist() as number[][]));
  await text.run(encodings, ["logits"], read, options);
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
    const k = count("top_k", top_k, null);
    const names = Object.keys(FUNCTIONS) as (keyof typeof FUNCTIONS)[];
    const apply = FUNCTIONS[choice("function_to_apply", function_to_apply, names)];
    const rows = await classify(text, [texts].flat() as TextInput[], o);
    const found = rows.map((row) => {
      const scores = apply(row);
      return topK(scores, k).map((i): Classified => ({ label: labels[i], score: scores[i] }));
    });
    return Array.isArray(texts) && k !== 1 ? found : found.flat();
  }) as never) as TextClassification;
}
