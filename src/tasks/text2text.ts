import { UnsupportedOptionError } from "../errors.ts";
import type { ModelSource } from "../format/source.ts";
import type { Tokenizer } from "../format/tokenizer.ts";
import type { Token } from "../generate/loop.ts";
import type { LoadOptions } from "../models/model.ts";
import { apart, streamed, type WritingOptions, written } from "./generation.ts";
import { loadFor, strings } from "./scores.ts";
import { type Task, task } from "./text.ts";

export interface Text2TextOptions extends WritingOptions {}

export interface TranslationOptions extends WritingOptions {
  /** As the model's own tokenizer spells them (`en_XX`, `eng_Latn`), or for T5, whose config has a prompt for each pair, `en`. */
  src_lang?: string;
  tgt_lang?: string;
}

type Writes<R, O> = Task<{
  (text: string, options?: O): Promise<R[]>;
  /** With `num_return_sequences` a list for each: `run<Result[]>(texts, …)` says so to the compiler. */
  <E extends R | R[] = R>(texts: readonly string[], options?: O): Promise<E[]>;
}> & {
  /** The tokens of one text's answer, as they are made. */
  stream(text: string, options?: O): AsyncGenerator<Token, void, undefined>;
};

/** Texts to texts, by a model with an encoder and a decoder. */
export type Text2TextGeneration = Writes<{ generated_text: string }, Text2TextOptions>;
export type Summarization = Writes<{ summary_text: string }, Text2TextOptions>;
export type Translation = Writes<{ translation_text: string }, TranslationOptions>;

const TOGETHER = 8;

/** Tokens that name a language: NLLB's, mBART's, M2M-100's. */
const LANGUAGE = /^([a-z]{3}_[A-Z][a-z]{3}|[a-z]{2}_[A-Z]{2}|__[a-z]{2,3}__)$/;

function language(tokenizer: Tokenizer, option: string, code: string): number {
  const id = [code, `__${code}__`].map((token) => (LANGUAGE.test(token) ? tokenizer.id(token) : undefined));
  const found = id.find((one) => one !== undefined);
  if (found === undefined) throw new UnsupportedOptionError(option, code, ["languages of the tokenizer"]);
  return found;
}

async function text2text(name: string, key: string, source: ModelSource | undefined, options: LoadOptions | undefined) {
  const text = await loadFor(name, "ConditionalGeneration", source, options);
  const { model, tokenizer } = text;
  const specific = (model.config.raw.task_specific_params ?? {}) as {
    readonly [task: string]: { readonly prefix?: string; readonly [option: string]: unknown } | undefined;
  };

  /** What the options, and those that the checkpoint has for the task, make of texts. */
  const begun = (texts: readonly string[], { src_lang, tgt_lang, ...o }: TranslationOptions) => {
    const pair =
      src_lang !== undefined && tgt_lang !== undefined ? specific[`${name}_${src_lang}_to_${tgt_lang}`] : undefined;
    const { prefix = "", ...own } = pair ?? specific[name] ?? {};
    const writing: WritingOptions = { ...own, ...o };
    if (tgt_lang !== undefined && !pair) writing.forced_bos_token_id = language(tokenizer, "tgt_lang", tgt_lang);
    const from = src_lang !== undefined && !pair ? language(tokenizer, "src_lang", src_lang) : undefined;
    const input_ids = texts.map((one) => {
      const { input_ids, tokens, special_tokens_mask } = text.encode(prefix + one);
      if (from === undefined) return input_ids;
      // The template names a language: whichever it was made with.
      const at = tokens.findIndex((token, i) => special_tokens_mask[i] === 1 && LANGUAGE.test(token));
      return at < 0 ? [from, ...input_ids] : input_ids.with(at, from);
    });
    return { writing, input_ids };
  };
  const start = (input_ids: readonly (readonly number[])[]) => ({
    inputs: { input_ids, attention_mask: input_ids.map((one) => one.map(() => 1)) },
    prompt: 1,
  });

  const call = async (given: string | readonly string[], o: TranslationOptions = {}) => {
    const texts = strings("texts", [given].flat());
    const { writing, input_ids } = begun(texts, o);
    const found: object[][] = [];
    const together = apart(writing) ? 1 : TOGETHER;
    for (let first = 0; first < texts.length; first += together) {
      const part = input_ids.slice(first, first + together);
      const all = await written(text, start(part), writing, true);
      const each = all.length / part.length;
      for (let i = 0; i < part.length; i++)
        found.push(
          all.slice(i * each, (i + 1) * each).map((ids) => {
            return { [key]: tokenizer.decode(ids, { skip_special_tokens: true }) };
          }),
        );
      o.progress_callback?.({ done: found.length, total: texts.length });
    }
    if (!Array.isArray(given)) return found[0];
    return found.map((list) => (list.length > 1 ? list : list[0]));
  };
  return Object.assign(task(text, call as never), {
    async *stream(one: string, o: TranslationOptions = {}) {
      const { writing, input_ids } = begun(strings("texts", [one]), o);
      yield* streamed(text, start(input_ids), writing, true);
    },
  });
}

type Load<T> = (source?: ModelSource, options?: LoadOptions) => Promise<T>;
export const text2textGeneration: Load<Text2TextGeneration> = (source, options) =>
  text2text("text2text-generation", "generated_text", source, options) as Promise<never>;
export const summarization: Load<Summarization> = (source, options) =>
  text2text("summarization", "summary_text", source, options) as Promise<never>;
export const translation: Load<Translation> = (source, options) =>
  text2text("translation", "translation_text", source, options) as Promise<never>;
