import { InputError } from "../errors.ts";
import type { ModelSource } from "../format/source.ts";
import type { Value } from "../graph/graph.ts";
import type { Body } from "../models/architecture.ts";
import { architectureOf } from "../models/families.ts";
import type { LoadOptions } from "../models/model.ts";
import { whole } from "../options.ts";
import { each, loadFor, strings, topK } from "./scores.ts";
import { type CallOptions, type Task, task } from "./text.ts";

export interface FillMaskOptions extends CallOptions {
  /** How many fillings of each mask, best first. Default 5. */
  top_k?: number;
  /** Only these words are tried. Of one that is no token the first token stands for it, as in transformers. */
  targets?: string | readonly string[];
}

export interface Filled {
  /** The probability among all tokens. */
  score: number;
  token: number;
  token_str: string;
  /** The text with the mask filled. */
  sequence: string;
}

/** Fillings of the mask. A text with several masks gives a list for each: `fill<Filled[][]>(text)` says so to the compiler. */
export type FillMask = Task<{
  <R extends Filled[] | Filled[][] = Filled[]>(text: string, options?: FillMaskOptions): Promise<R>;
  <R extends Filled[] | Filled[][] = Filled[]>(texts: readonly string[], options?: FillMaskOptions): Promise<R[]>;
}>;

/** The head read at one token of each sequence: the vocabulary is too wide to multiply every token by it. */
const OUTPUT = "mask_probabilities";

export async function fillMask(source?: ModelSource, options?: LoadOptions): Promise<FillMask> {
  const text = await loadFor("fill-mask", "MaskedLM", source, options, async (config) => {
    const { architecture } = await architectureOf(config, options?.families);
    return {
      extend(g, outputs, at) {
        const last_hidden_state = g.embed(g.input("pool_first_rows", "B"), outputs.last_hidden_state as Value);
        const body = { ...outputs, last_hidden_state } as unknown as Body;
        const { logits } = architecture.heads.MaskedLM!(g, config, body, at);
        return { [OUTPUT]: g.softmax(logits as Value) };
      },
    };
  });
  const { tokenizer } = text;
  const mask = tokenizer.mask_token_id;

  const call = (texts: string | readonly string[], o: FillMaskOptions = {}) =>
    each("texts", texts, async (list) => {
      const k = whole("top_k", o.top_k ?? 5);
      const first = (word: string) => tokenizer.encode(word, { add_special_tokens: false }).input_ids.slice(0, 1);
      const words = o.targets === undefined ? undefined : strings("targets", [o.targets].flat());
      const targets = words && [...new Set(words.flatMap((word) => tokenizer.id(word) ?? first(word)))];
      if (targets?.length === 0) throw new InputError("targets holds no token");
      const masked = list.flatMap((one, of) => {
        const e = text.encode(one);
        const places = e.input_ids.flatMap((id, at) => (id === mask ? { ...e, of, at } : []));
        if (!places.length) throw new InputError(`texts[${of}] has no mask token (${tokenizer.mask_token})`);
        return places;
      });
      const found: Filled[][][] = list.map(() => []);
      const read = ({ of, at, input_ids }: (typeof masked)[0], scores: Float32Array) => {
        const skip_special_tokens = input_ids.indexOf(mask!) === input_ids.lastIndexOf(mask!);
        const tried = targets?.map((id) => scores[id]) ?? scores;
        const filled = topK(tried, k).map((i) => {
          const token = targets?.[i] ?? i;
          const token_str = tokenizer.decode([token]);
          // With other masks left, special tokens stay: as in transformers.
          const sequence = tokenizer.decode(input_ids.with(at, token), { skip_special_tokens });
          return { score: scores[token], token, token_str, sequence };
        });
        found[of].push(filled);
      };
      const inputs = (part: typeof masked) => ({
        pooling_mask: part.map(({ input_ids, at }) => input_ids.map((_, i) => +(i === at))),
      });
      await text.each(masked, [OUTPUT], read, { ...o, inputs: inputs as never });
      return found.map((lists) => (lists.length > 1 ? lists : lists[0]));
    });
  return task(text, call as never) as FillMask;
}
