import { cleaned } from "./decoder.ts";

export interface DecodeOptions {
  skip_special_tokens?: boolean;
  clean_up_tokenization_spaces?: boolean;
}

/** What a stream asks of its tokenizer. */
interface Decodes {
  readonly byte_fallback: boolean;
  readonly strips: boolean;
  token(id: number): string | undefined;
  decode(ids: readonly number[], options: DecodeOptions): string;
  cleans(options: DecodeOptions): boolean;
}

/** Ids that are decoded again with each new one: what decoders look back at is the token before, or the bytes of a character. */
const WINDOW = 32;
/** Of them, those that are kept where all of their text is out. A Strip of a text's beginning takes characters of the first ones. */
const CONTEXT = 8;

/**
 * Text of ids that come one by one. What `push` and `end` give, joined, is `decode` of all ids: text that a later id may still change
 * waits, which is an unfinished character, a run of byte tokens, and, where spaces are cleaned up, what follows the last sure word.
 */
export class TextStream {
  readonly #tokenizer: Decodes;
  readonly #options: DecodeOptions;
  #ids: number[] = [];
  /** Characters of the window's text that are out. */
  #out = 0;
  /** Text that waits to be cleaned up. */
  #waits = "";

  constructor(tokenizer: Decodes, options: DecodeOptions = {}) {
    this.#tokenizer = tokenizer;
    this.#options = options;
  }

  /** The text that is sure since the last call; often none. */
  push(...ids: readonly number[]): string {
    let text = "";
    for (const id of ids) {
      this.#ids.push(id);
      text += this.#take(false);
    }
    return this.#clean(text, false);
  }

  /** The rest; the stream begins anew. */
  end(): string {
    const text = this.#clean(this.#take(true), true);
    this.#ids = [];
    this.#out = 0;
    return text;
  }

  #take(last: boolean): string {
    const { byte_fallback, strips } = this.#tokenizer;
    const ids = this.#ids;
    let sure = ids.length;
    // A run of bytes becomes text together: one bad byte spoils all of it.
    if (!last && byte_fallback) while (sure && BYTE.test(this.#tokenizer.token(ids[sure - 1]) ?? "")) sure--;
    const text = this.#decode(ids.slice(0, sure));
    let end = text.length;
    if (!last && text.endsWith("\ufffd")) end--;
    while (!last && strips && end && /\s/.test(text[end - 1])) end--;
    const out = text.slice(this.#out, end);
    this.#out = Math.max(this.#out, end);
    if (ids.length >= WINDOW && sure === ids.length) {
      const kept = ids.slice(-CONTEXT);
      const before = this.#decode(kept).length - (text.length - this.#out);
      // Nothing earlier counts once there is text to stand on: special tokens that are left out are none.
      if (before >= CONTEXT / 2) {
        this.#ids = kept;
        this.#out = before;
      }
    }
    return out;
  }

  #decode(ids: readonly number[]): string {
    return this.#tokenizer.decode(ids, { ...this.#options, clean_up_tokenization_spaces: false });
  }

  #clean(text: string, last: boolean): string {
    if (!this.#tokenizer.cleans(this.#options)) return text;
    const all = this.#waits + text;
    let end = all.length;
    // No pattern of `cleaned` begins before such a space and ends behind it, nor does what one leaves make a new one.
    while (!last && end && !SURE.test(all.slice(end - 1, end + 2))) end--;
    this.#waits = all.slice(end);
    return cleaned(all.slice(0, end));
  }
}

const BYTE = /^<0x[0-9A-Fa-f]{2}>$/;
const SURE = /^[^ '] [^ '.?!,n]/;
