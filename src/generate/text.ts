import type { Decoder, Settings } from "./options.ts";

/** Tokens of the prompt that are decoded with the first new one: what a decoder does at a text's start, it does to them. */
const BEFORE = 8;

/** The text of tokens as they come after a prompt, in whole characters. */
export function textOf(tokenizer: Decoder, prompt: readonly number[]): (id: number, last: boolean) => string {
  const text = tokenizer.stream({ skip_special_tokens: true });
  text.push(...prompt.slice(-BEFORE));
  return (id, last) => text.push(id) + (last ? text.end() : "");
}

/** Whether the newest token brings one of `stop_strings` to its end, as transformers' StopStringCriteria sees it. */
export function stops({ stop_strings, tokenizer }: Settings, ids: readonly number[]): boolean {
  if (!stop_strings.length) return false;
  const most = stop_strings.reduce((n, s) => Math.max(n, s.length), 0);
  // A character has four bytes at most, each a token of its own: these hold a stop string wherever it begins.
  const tail = ids.slice(-(most * 4 + BEFORE));
  const text = tokenizer!.decode(tail);
  const before = tokenizer!.decode(tail.slice(0, -1)).replace(/\ufffd+$/, "").length;
  return stop_strings.some((s) => text.lastIndexOf(s) >= 0 && text.lastIndexOf(s) + s.length > before);
}
