import { InputError, UnsupportedOptionError } from "../errors.ts";
import { Config } from "../format/config.ts";
import { readJson } from "../format/read.ts";
import type { ModelFolder, ModelSource } from "../format/source.ts";
import type { Head } from "../models/architecture.ts";
import type { LoadOptions, Modules } from "../models/model.ts";
import { architectureOf } from "../models/registry.ts";
import { exp } from "../numeric.ts";
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

/** A count option as it may stand: a whole number from 1 on, or null (all) where that is meant. @throws UnsupportedOptionError */
export function count(option: string, value: number | null, all?: null): number | undefined {
  if (value === null && all === null) return undefined;
  if (Number.isInteger(value) && value! > 0) return value!;
  throw new UnsupportedOptionError(option, value, ["whole numbers from 1 on", ...(all === null ? [null] : [])]);
}

/** @throws InputError unless it is an array of strings */
export function strings(name: string, list: unknown): readonly string[] {
  if (Array.isArray(list) && list.every((t) => typeof t === "string")) return list;
  throw new InputError(`${name} must be an array of strings`);
}

/** @throws UnsupportedOptionError unless the value is one of `choices` */
export function choice<T>(option: string, value: T, choices: readonly T[]): T {
  if (!choices.includes(value)) throw new UnsupportedOptionError(option, value, choices);
  return value;
}

/**
 * Loads a model for a task that reads a head's outputs; `more` sees config and folder before any weight is read.
 * @throws InputError that says what the task needs and what the checkpoint is
 */
export function loadFor(
  task: string,
  head: Head,
  source: ModelSource | undefined,
  options: LoadOptions | undefined,
  more?: (config: Config, folder: ModelFolder) => Modules | undefined | Promise<Modules | undefined>,
): Promise<TextModel> {
  return TextModel.load(source, options, async (folder) => {
    const json = await readJson(folder, "config.json", options?.signal);
    if (!json) return {};
    const config = new Config(json);
    if (architectureOf(config).head !== head)
      throw new InputError(
        `${task} needs a checkpoint of …For${head}; ${folder.name} is ${config.strings("architectures").join() || config.model_type}`,
      );
    return (await more?.(config, folder)) ?? {};
  });
}
