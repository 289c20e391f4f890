import { FormatError } from "../../errors.ts";

/** A part of tokenizer.json: a normalizer, pre-tokenizer, model or post-processor with its own fields. */
export type Part = { readonly type?: unknown; readonly [field: string]: unknown };

export const malformed = (detail: string) => new FormatError("tokenizer.json", detail);
export const isId = (id: unknown) => Number.isInteger(id) && (id as number) >= 0;

/** A field that must be there. @throws FormatError if it is not of the type. */
export function need<T>(part: Part, field: string, type: "string" | "object"): T {
  const value = part[field];
  if (typeof value !== type || value === null) throw malformed(`"${field}" of ${part.type} is no ${type}`);
  return value as T;
}

/** Builds a part by its type. @throws FormatError with the part's kind and type if that is not known or a field is not right. */
export function build<T>(kind: string, makers: Record<string, (part: Part) => T>, part: unknown): T {
  const type = String((part as Part | null)?.type);
  if (!Object.hasOwn(makers, type)) throw malformed(`${kind} "${type}" is not supported`);
  try {
    return makers[type](part as Part);
  } catch (error) {
    throw error instanceof FormatError ? error : malformed(`${kind} ${type}: ${(error as Error).message}`);
  }
}

const encoder = new TextEncoder();
export const utf8 = (text: string) => encoder.encode(text);

const escaped = (text: string) => text.replace(/[\\^$.*+?()[\]{}|/]/g, "\\$&");

/** What finds any of the strings; nothing if there are none. The longest first: of those that match at a place, the first is taken. */
export const anyOf = (strings: Iterable<string>): RegExp | undefined => {
  const longest = [...strings].sort((a, b) => b.length - a.length);
  return longest.length ? new RegExp(longest.map(escaped).join("|"), "gu") : undefined;
};

/** Turns a pattern of a prepared tokenizer, `{ String }` or `{ JS, flags }`, into a RegExp with the flags gu, or gv. */
export function compile(pattern: unknown): RegExp {
  const { String: string, JS, flags } = pattern as { String?: unknown; JS?: unknown; flags?: unknown };
  if (typeof (string ?? JS) !== "string") throw malformed(`${JSON.stringify(pattern)} is no pattern`);
  return new RegExp(typeof string === "string" ? escaped(string) : (JS as string), flags === "gv" ? "gv" : "gu");
}

/** The characters that stand for bytes in byte-level vocabularies: printable ones for themselves, the rest from U+0100 on. */
export const BYTES: string[] = [];
for (let byte = 0, next = 256; byte < 256; byte++)
  BYTES[byte] = String.fromCharCode((byte > 32 && byte < 127) || (byte > 160 && byte !== 173) ? byte : next++);

/**
 * Characters of common scripts that are no mark, control character, white space or punctuation, and stay so when decomposed but for
 * marks of COMMON_MARKS. Known without the Unicode sets, whose patterns take an engine half a millisecond each to make ready.
 */
export const COMMON = /[\xc0-\u024f\u0388-\u0481\u3041-\u3094\u30a1-\u30fa\u4e00-\u9fff\uac00-\ud7a3]/;
export const COMMON_MARKS = /[\u0300-\u036f\u3099\u309a]/g;
/** Dashes, quotation marks, ellipsis: punctuation, and nothing becomes of it. */
export const COMMON_PUNCTUATION = /[\u2010-\u2027]/;

/** Members of a character class: Rust's \w. */
export const WORD = "\\p{Alphabetic}\\p{M}\\p{Nd}\\p{Pc}\\p{Join_Control}";

/**
 * Where white space ends that begins at the boundary `at`, going right (1) or left (−1). A loop, since a regular expression that
 * ends in $ takes quadratic time on long runs.
 */
export function passSpace(text: string, at: number, step: 1 | -1): number {
  while (/\p{White_Space}/u.test(text.charAt(step > 0 ? at : at - 1))) at += step;
  return at;
}

/** A token of one word: its string, its id (−1 for unknown), and which UTF-16 units of the word it covers. */
export type Piece = [token: string, id: number, start: number, end: number];

/** Cuts a word into its tokens. */
export type Cutter = (word: string) => Piece[];
