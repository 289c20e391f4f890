import { width } from "./aligned.ts";
import { build, isId, malformed, type Part, passSpace } from "./part.ts";

/** A token of a text, with the range of the text behind it in UTF-16 units and the number of its word. */
export type Row = [token: string, id: number, from: number, to: number, word: number];

/** One place of a template: the tokens of a text (0) or of its pair (1), or tokens that are added. */
export interface Slot {
  readonly type_id: number;
  readonly sequence?: 0 | 1;
  readonly ids: readonly number[];
  readonly tokens: readonly string[];
}

export interface PostProcessor {
  readonly single: readonly Slot[];
  readonly pair: readonly Slot[];
  /** Set where white space is taken off the ends of offsets; true where the pre-tokenizer puts a space before the text. */
  readonly trim?: boolean;
}

const text = (sequence: 0 | 1, type_id: number): Slot => ({ type_id, sequence, ids: [], tokens: [] });
const one = (pair: unknown, type_id = 0): Slot => {
  const [token, id] = pair as [string, number];
  return { type_id, ids: [id], tokens: [token] };
};
const trim = ({ trim_offsets = true, add_prefix_space = true }: Part) =>
  trim_offsets ? { trim: !!add_prefix_space } : {};

const parts = (part: unknown): Partial<PostProcessor> =>
  build<Partial<PostProcessor>>(
    "post_processor",
    {
      BertProcessing: ({ cls, sep }) => {
        const single = [one(cls), text(0, 0), one(sep)];
        return { single, pair: [...single, text(1, 1), one(sep, 1)] };
      },
      RobertaProcessing: (part) => {
        const sep = one(part.sep);
        const single = [one(part.cls), text(0, 0), sep];
        return { ...trim(part), single, pair: [...single, sep, text(1, 0), sep] };
      },
      ByteLevel: trim,
      TemplateProcessing: ({ single, pair, special_tokens }) => {
        const slots = (template: unknown) =>
          (template as Record<string, { id: string; type_id: number }>[]).map(({ Sequence, SpecialToken: special }) => {
            if (Sequence) return text(Sequence.id === "A" ? 0 : 1, Sequence.type_id);
            return { ...(special_tokens as Record<string, Slot>)[special.id], type_id: special.type_id };
          });
        return { single: slots(single), pair: slots(pair) };
      },
      Sequence: ({ processors }) => Object.assign({}, ...(processors as unknown[]).map(parts)),
    },
    part,
  );

/** Builds a post-processor. @throws FormatError if its type is not known or its fields are not right. */
export function postProcessor(part: unknown): PostProcessor {
  const made = { single: [text(0, 0)], pair: [text(0, 0), text(1, 1)], ...(part == null ? {} : parts(part)) };
  for (const { ids, tokens, type_id } of [...made.single, ...made.pair])
    if (![type_id, ...ids].every(isId) || tokens.length !== ids.length)
      throw malformed(`post_processor: ${JSON.stringify({ ids, tokens, type_id })} is malformed`);
  return made;
}

/**
 * Takes the white space that a token holds at its ends off its range, as ByteLevel does: as many characters of `text` as the token
 * has spaces. A single space at the start of the first token, or at the start of the text, stays if the pre-tokenizer may have put it there.
 */
export function trimmed(rows: Row[], prefixed: boolean, text: string): Row[] {
  return rows.map(([token, id, from, to, word], i) => {
    const plain = token.replaceAll("\u0120", " ");
    let leading = passSpace(plain, 0, 1);
    let trailing = plain.length - passSpace(plain, plain.length, -1);
    if (prefixed && leading === 1 && (!i || !from)) leading = 0;
    for (; leading && from < to; leading--) from += width(text, from);
    for (; trailing && from < to; trailing--) to -= width(text, Math.max(0, to - 2));
    return [token, id, from, to, word];
  });
}
