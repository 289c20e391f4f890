import type { Aligned, SplitBehavior } from "./aligned.ts";
import { prepend } from "./normalizer.ts";
import { BYTES, build, COMMON, COMMON_PUNCTUATION, compile, malformed, need, type Part, utf8, WORD } from "./part.ts";

export type PreTokenizer = (text: Aligned) => Aligned[];

const PUNCTUATION = "\\p{P}!-/:-@[-`{-~";
// A function, since an engine works out the sets of a pattern where it is met, and most text needs none.
const GPT2 = () =>
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;
const ASCII = /^[\0-\x7f]*$/;
const GPT2_ASCII = /'s|'t|'re|'ve|'m|'ll|'d| ?[A-Za-z]+| ?\d+| ?[^\t-\r A-Za-z\d]+|[\t-\r ]+(?![^\t-\r ])|[\t-\r ]+/g;

const OTHER = 0;
const SPACE = 1;
const MARK = 2;
const ascii = Uint8Array.from({ length: 128 }, (_, c) =>
  /[\t-\r ]/.test(String.fromCharCode(c)) ? SPACE : /[!-/:-@[-`{-~]/.test(String.fromCharCode(c)) ? MARK : OTHER,
);
const kinds = new Map<number, number>();
/** White space, punctuation, or neither. */
function kind(c: number): number {
  if (c < 128) return ascii[c];
  let found = kinds.get(c);
  if (found === undefined) {
    const text = String.fromCodePoint(c);
    if (COMMON.test(text)) found = OTHER;
    else if (COMMON_PUNCTUATION.test(text)) found = MARK;
    else found = /\p{White_Space}/u.test(text) ? SPACE : /\p{P}/u.test(text) ? MARK : OTHER;
    if (kinds.size > 9999) kinds.clear();
    kinds.set(c, found);
  }
  return found;
}

/** Words between white space, and punctuation character by character. */
const bertWords: PreTokenizer = (text) => {
  const words: Aligned[] = [];
  const { length } = text.text;
  let start = 0;
  for (let i = 0, to: number; i < length; i = to) {
    const c = text.text.codePointAt(i)!;
    const what = kind(c);
    to = i + (c > 0xffff ? 2 : 1);
    if (what === OTHER) continue;
    if (start < i) words.push(text.slice(start, i));
    if (what === MARK) words.push(text.slice(i, to));
    start = to;
  }
  if (start < length) words.push(text.slice(start));
  return words;
};

const cut =
  (pattern: RegExp, behavior: unknown, invert?: boolean): PreTokenizer =>
  (text) =>
    text.split(pattern, behavior as SplitBehavior, invert);

/** Builds a pre-tokenizer. @throws FormatError if its type is not supported or a field is not right. */
export function preTokenizer(part: unknown): PreTokenizer {
  if (part == null) return (text) => [text];
  const { behavior = "Isolated" } = part as Part;
  if (!/^(Removed|Isolated|Contiguous|MergedWith(Previous|Next))$/.test(String(behavior)))
    throw malformed(`behavior "${behavior}" is not supported`);
  return build<PreTokenizer>(
    "pre_tokenizer",
    {
      Sequence: ({ pretokenizers }) => {
        const steps = (pretokenizers as unknown[]).map((step) => preTokenizer(step));
        return (text) => steps.reduce((now, step) => now.flatMap(step), [text]);
      },
      BertPreTokenizer: () => bertWords,
      Whitespace: () => cut(new RegExp(`[${WORD}]+|[^${WORD}\\p{White_Space}]+`, "gu"), "Removed", true),
      WhitespaceSplit: () => cut(/\p{White_Space}/gu, "Removed"),
      Punctuation: () => cut(new RegExp(`[${PUNCTUATION}]`, "gu"), behavior),
      Digits: ({ individual_digits }) => cut(/\p{N}/gu, individual_digits ? "Isolated" : "Contiguous"),
      CharDelimiterSplit: ({ delimiter }) => cut(compile({ String: delimiter }), "Removed"),
      Split: ({ pattern, invert }) => cut(compile(pattern), behavior, !!invert),
      FixedLength: ({ length }) => cut(new RegExp(`.{1,${length}}`, "gsu"), "Isolated"),
      ByteLevel: ({ add_prefix_space = true, use_regex = true }) => {
        const bytes = (c: string) => Array.from(utf8(c), (byte) => BYTES[byte]).join("");
        return (text) => {
          if (add_prefix_space && !text.text.startsWith(" ")) text = prepend(text, " ");
          const ascii = ASCII.test(text.text);
          const words = use_regex ? text.split(ascii ? GPT2_ASCII : GPT2(), "Isolated") : [text];
          return words.map((word) =>
            ascii || ASCII.test(word.text)
              ? word.like(word.text.replace(/[^!-~]/g, (c) => BYTES[c.charCodeAt(0)]))
              : word.replace(/[^!-~]/gu, bytes),
          );
        };
      },
      Metaspace: (part) => {
        const { prepend_scheme, add_prefix_space, split = true } = part;
        const mark = need<string>(part, "replacement", "string");
        const marks = compile({ String: mark });
        const scheme = prepend_scheme ?? (add_prefix_space === false ? "never" : "always");
        return (text) => {
          text = text.replace(/ /g, mark);
          if (!text.text.startsWith(mark) && (scheme === "always" || (scheme === "first" && !text.at[0])))
            text = prepend(text, mark);
          return split ? text.split(marks, "MergedWithNext") : [text];
        };
      },
    },
    part,
  );
}
