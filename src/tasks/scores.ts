import { InputError, UnsupportedOptionError } from "../errors.ts";
import { Config } from "../format/config.ts";
import { readJson } from "../format/read.ts";
import type { ModelFolder, ModelSource } from "../format/source.ts";
import type { Tokenizer } from "../format/tokenizer.ts";
import type { Head } from "../models/architecture.ts";
import { architectureOf } from "../models/families.ts";
import type { LoadOptions, Modules } from "../models/model.ts";
import { exp } from "../numeric.ts";
import { whole } from "../options.ts";
import { TextModel } from "./text.ts";

/** What a list of texts gives is a list; what one text gives stands alone. */
export type Each<T, R> = T extends readonly unknown[] ? R[] : R;
/** One result where `top_k` is 1, a list where it is another number or null. */
export type Top<K, R> = number extends K ? R | R[] : K extends 1 ? R : R[];

export const sigmoid = (x: number): number => 1 / (1 + exp(-x));

export function softmax(x: ArrayLike<number>): number[] {
  const values = Array.from(x);
  const most = values.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
  const e = values.map((v) => exp(v - most));
  const sum = e.reduce((a, b) => a + b, 0);
  return e.map((v) => v / sum);
}

/** Where the k largest stand, best first; of equals the first comes first. */
export function topK(x: ArrayLike<number>, k = x.length): number[] {
  // The k-th largest by the engine's sort of plain numbers: a vocabulary has 250,000 of them, the answer has five.
  const least = k < x.length ? Float64Array.from(x).sort()[x.length - k] : Number.NEGATIVE_INFINITY;
  const found: number[] = [];
  for (let i = 0; i < x.length; i++) if (x[i] >= least) found.push(i);
  return found.sort((a, b) => x[b] - x[a] || a - b).slice(0, k);
}

/** The k best of things with scores. */
export const best = <T extends { score: number }>(list: readonly T[], k?: number): T[] =>
  topK(
    list.map(({ score }) => score),
    k,
  ).map((i) => list[i]);

/** A count option of which null means all. @throws UnsupportedOptionError */
export const countOrAll = (option: string, value: number | null): number | undefined =>
  value === null ? undefined : whole(option, value);

/** @throws InputError unless it is an array of strings */
export function strings(name: string, list: unknown): readonly string[] {
  if (Array.isArray(list) && list.every((t) => typeof t === "string")) return list;
  throw new InputError(`${name} must be an array of strings`);
}

/** What `run` gives for a list of strings; for one string, what it gives for that. @throws InputError for other things */
export async function each<R>(
  name: string,
  texts: unknown,
  run: (list: readonly string[]) => Promise<readonly R[]>,
): Promise<R | readonly R[]> {
  const all = await run(strings(name, [texts].flat()));
  return Array.isArray(texts) ? all : all[0];
}

/** @throws UnsupportedOptionError unless the value is one of `choices` */
export function choice<T>(option: string, value: T, choices: readonly T[]): T {
  if (!choices.includes(value)) throw new UnsupportedOptionError(option, value, choices);
  return value;
}

type Added = Modules & Partial<Pick<Tokenizer, "chat">>;

/**
 * Loads a model for a task that reads a head's outputs; `more` sees config and folder before any weight is read.
 * @throws InputError that says what the task needs and what the checkpoint is
 */
export function loadFor(
  task: string,
  head: Head,
  source: ModelSource | undefined,
  options: LoadOptions | undefined,
  more?: (config: Config, folder: ModelFolder) => Added | undefined | Promise<Added | undefined>,
): Promise<TextModel> {
  return TextModel.load(source, options, async (folder) => {
    const json = await readJson(folder, "config.json", options?.signal);
    if (!json) return {}; // loading says what is missing
    const config = new Config(json);
    if ((await architectureOf(config, options?.families)).head !== head)
      throw new InputError(
        `${task} needs a checkpoint …For${head}; ${folder.name} is ${config.strings("architectures").join() || config.model_type}`,
      );
    return (await more?.(config, folder)) ?? {};
  });
}
