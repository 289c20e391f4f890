import type { Aligned, SplitBehavior } from "./aligned.ts";
import { prepend } from "./normalizer.ts";
import { BYTES, build, compile, malformed, need, type Part, utf8, WORD } from "./part.ts";

export type PreTokenizer = (text: Aligned) => Aligned[];

const PUNCTUATION = "\\p{P}!-/:-@[-`{-~";
const GPT2 =
  /'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\p{White_Space}\p{L}\p{N}]+|\p{White_Space}+(?!\P{White_Space})|\p{White_Space}+/gu;

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
      BertPreTokenizer: () =>
        cut(new RegExp(`[${PUNCTUATION}]|[^${PUNCTUATION}\\p{White_Space}]+`, "gu"), "Removed", true),
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
          return (use_regex ? text.split(GPT2, "Isolated") : [text]).map((word) => word.replace(/[^!-~]/gu, bytes));
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
