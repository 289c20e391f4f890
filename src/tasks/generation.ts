/** What all tasks that write text share. */

import { UnsupportedOptionError } from "../errors.ts";
import type { GenerateOptions, LogitsProcessor } from "../generate/options.ts";
import type { GenerateInputs } from "../generate/prompt.ts";
import type { Constraint, ConstraintOptions } from "./constraint/constraint.ts";
import type { CallOptions, TextModel } from "./text.ts";

/** Options of generation (docs/generation.md), and what text the model may write. */
export interface WritingOptions extends CallOptions, ConstraintOptions, Omit<GenerateOptions, "tokenizer"> {}

type Writer = Pick<TextModel, "model" | "tokenizer">;

/** Constraints by what asks for them: their masks cost more than all else, and calls repeat them. */
const known = new WeakMap<object, Map<string, Constraint>>();
const KEPT = 8;

/** Keeps what follows `prompt` tokens within the options' expression; `begins` where no text stands before it. */
async function constraining(
  { model, tokenizer }: Writer,
  { regex, response_format, ...options }: ConstraintOptions & GenerateOptions,
  prompt: number,
  begins: boolean,
): Promise<LogitsProcessor | undefined> {
  if (regex === undefined && (response_format === undefined || response_format.type === "text")) return undefined;
  const { Constraint, expressionOf } = await import("./constraint/constraint.ts");
  const { settingsOf } = await import("../generate/options.ts");
  const settings = settingsOf({ tokenizer, ...options }, model.generation, model.config);
  const ends = settings.eos_token_id;
  if (!ends.length) throw new UnsupportedOptionError(regex ? "regex" : "response_format", "no eos_token_id", ["one"]);
  const own = known.get(tokenizer) ?? new Map<string, Constraint>();
  known.set(tokenizer, own);
  const key = JSON.stringify([begins, String(regex), response_format]);
  let constraint = own.get(key);
  if (!constraint) {
    constraint = new Constraint(tokenizer, expressionOf({ regex, response_format })!, begins);
    if (own.size >= KEPT) own.delete(own.keys().next().value!);
    own.set(key, constraint);
  }
  const most = settings.max_length(prompt);
  return async (ids, scores) => {
    await options.logits_processor?.(ids, scores);
    constraint.mask(ids.slice(prompt), scores, ends, most - ids.length);
  };
}

/** One thing to go on with: what the model reads, and how many tokens of what `generate` gives are not its own. */
export interface Start {
  readonly inputs: GenerateInputs;
  readonly prompt: number;
}

const split = ({ regex, response_format, progress_callback, ...options }: WritingOptions) => ({
  options: options as GenerateOptions,
  constraint: { regex, response_format },
});

/** What follows a start: `num_return_sequences` lists of ids, the start's own among them. */
export async function written(text: Writer, { inputs, prompt }: Start, o: WritingOptions, begins = false) {
  const { options, constraint } = split(o);
  const logits_processor =
    (await constraining(text, { ...options, ...constraint }, prompt, begins)) ?? options.logits_processor;
  return text.model.generate(inputs, { ...options, logits_processor });
}

/** The same, token by token. */
export async function* streamed(text: Writer, { inputs, prompt }: Start, o: WritingOptions, begins = false) {
  const { options, constraint } = split(o);
  const logits_processor =
    (await constraining(text, { ...options, ...constraint }, prompt, begins)) ?? options.logits_processor;
  yield* text.model.stream(inputs, { ...options, logits_processor });
}

/** Whether the options leave the tokens of a start to the start itself: then several go in one batch. */
export const apart = ({ regex, response_format, logits_processor }: WritingOptions): boolean =>
  regex !== undefined ||
  logits_processor !== undefined ||
  (response_format && response_format.type !== "text") === true;
