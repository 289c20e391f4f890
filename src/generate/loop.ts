import { InputError, UnsupportedOptionError } from "../errors.ts";
import { type Begun, begin, ends, type Generator, type Made, processed } from "./begun.ts";
import type { Row } from "./decoding.ts";
import type { GenerateOptions } from "./options.ts";
import type { GenerateInputs } from "./prompt.ts";
import { pick, uniform } from "./random.ts";
import { argmax, logSumExp, weightsOf } from "./scores.ts";
import { textOf } from "./text.ts";

export type { Generator } from "./begun.ts";

/** A token of a stream. */
export interface Token {
  id: number;
  /** What it adds to the text; nothing, where the text's next character needs a further token, or there is no tokenizer. */
  text: string;
  /** The logarithm of the probability that the model gives it, before any option changes that. */
  logprob: number;
}

/** The sequences and what follows them: `num_return_sequences` for each, without padding behind their end. */
export async function generate(
  model: Generator,
  inputs: GenerateInputs,
  options: GenerateOptions,
): Promise<number[][]> {
  const begun = await begin(model, inputs, options);
  try {
    if (begun.settings.num_beams > 1) return await (await import("./beams.ts")).beamSearch(begun);
    const rows = begun.decoding.rows.filter((row) => !goesOn(begun, row));
    for await (const { row, done } of tokens(begun, false)) if (done) rows.push(row);
    return rows.sort((a, b) => a.source - b.source || a.copy - b.copy).map((row) => row.ids);
  } finally {
    begun.decoding.dispose();
  }
}

/** The tokens that follow one sequence, as they are made. */
export async function* stream(
  model: Generator,
  inputs: GenerateInputs,
  options: GenerateOptions,
): AsyncGenerator<Token, void, undefined> {
  const begun = await begin(model, inputs, options);
  const { decoding, settings } = begun;
  try {
    for (const name of ["num_beams", "num_return_sequences"] as const)
      if (settings[name] > 1) throw new UnsupportedOptionError(`${name} of a stream`, settings[name], [1]);
    const [row, other] = decoding.rows;
    if (other) throw new InputError(`a stream goes on with one sequence, not with ${decoding.rows.length}`);
    const { tokenizer } = settings;
    const text = tokenizer && textOf(tokenizer, row.ids);
    for await (const { id, logprob, done } of tokens(begun, true)) yield { id, text: text?.(id, done) ?? "", logprob };
  } finally {
    decoding.dispose();
  }
}

/** Not where no token was asked for. */
const goesOn = ({ max_length }: Begun, { source, ids }: Row): boolean => ids.length < max_length[source];

async function* tokens(begun: Begun, logprobs: boolean): AsyncGenerator<Made, void, undefined> {
  if (begun.settings.assistant_model) yield* (await import("./assisted.ts")).assisted(begun, logprobs);
  else yield* stepwise(begun, logprobs);
}

/** One token for each row at a time, greedy or drawn, until all have ended. */
async function* stepwise(begun: Begun, logprobs: boolean): AsyncGenerator<Made, void, undefined> {
  const { decoding, settings } = begun;
  const { do_sample, seed, num_return_sequences } = settings;
  let live: Row[] = decoding.rows.filter((row) => goesOn(begun, row));
  for (let step = 0; live.length; step++) {
    let logits = await decoding.step(live);
    if (!step && num_return_sequences > 1) {
      const copies = live.flatMap((row) => new Array<Row>(num_return_sequences).fill(row));
      logits = logits.flatMap((x) => Array.from({ length: num_return_sequences }, () => x.slice()));
      live = await decoding.fork(live, copies);
    }
    const next: Row[] = [];
    for (const [i, row] of live.entries()) {
      const raw = logits[i];
      const sum = logprobs ? logSumExp(raw) : 0;
      const scores = await processed(begun, row.source, row.ids, logprobs ? raw.slice() : raw);
      const id = do_sample ? pick(weightsOf(scores), uniform(seed, row.copy, step)) : argmax(scores);
      row.ids.push(id);
      row.next = [id];
      const done = ends(begun, row.source, row.ids);
      if (done) decoding.drop(row);
      else next.push(row);
      yield { row, id, logprob: raw[id] - sum, done };
    }
    live = next;
  }
}
