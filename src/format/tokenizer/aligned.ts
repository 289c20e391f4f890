/** What becomes of the matches when text is split by a pattern: names of the tokenizer.json format. */
export type SplitBehavior = "Removed" | "Isolated" | "Contiguous" | "MergedWithPrevious" | "MergedWithNext";

/** UTF-16 units of the character at `at`. */
export const width = (text: string, at: number) => (text.codePointAt(at)! > 0xffff ? 2 : 1);

/**
 * Text on its way to the model: `at[i]` is where the character of `original` starts that the UTF-16 unit i comes from (for both
 * halves of a surrogate pair the first). Who inherits which character follows NormalizedString of the `tokenizers` crate, quirks
 * included, so that offsets come out equal. A number in the place of the list says that unit i comes from unit number + i: most text
 * is as long as it was, and needs no list.
 */
export class Aligned {
  #at: readonly number[] | number;

  constructor(
    readonly text: string,
    at: readonly number[] | number,
    readonly original: string,
  ) {
    this.#at = at;
  }

  static of(text: string): Aligned {
    return new Aligned(text, 0, text);
  }

  get at(): readonly number[] {
    if (typeof this.#at === "number") this.#at = Array.from({ length: this.text.length }, (_, i) => this.from(i));
    return this.#at;
  }

  /** Where unit i comes from: that, and `to` of the unit behind the last, are the range of the original text behind units. */
  from(i: number): number {
    if (typeof this.#at !== "number") return this.#at[i];
    const at = this.#at + i;
    return at && width(this.original, at - 1) > 1 ? at - 1 : at;
  }

  /** Where what the unit before `end` comes from ends. */
  to(end: number): number {
    const last = this.from(end - 1);
    return last + width(this.original, last);
  }

  /** Another text of as many units, each of which comes from where the one in its place does. */
  like(text: string): Aligned {
    return text === this.text ? this : new Aligned(text, this.#at, this.original);
  }

  /** Puts what `by` gives in the place of each character. */
  map(by: (character: string) => string): Aligned {
    let text = "";
    let same = true;
    for (const c of this.text) {
      const put = by(c);
      text += put;
      same &&= put.length === c.length;
    }
    if (same) return this.like(text);
    const at: number[] = [];
    let i = 0;
    for (const c of this.text) {
      const from = this.from(i);
      for (let n = by(c).length; n; n--) at.push(from);
      i += c.length;
    }
    return new Aligned(text, at, this.original);
  }

  slice(start: number, end?: number): Aligned {
    const at = typeof this.#at === "number" ? this.#at + start : this.#at.slice(start, end);
    return new Aligned(this.text.slice(start, end), at, this.original);
  }

  /**
   * New text from characters and their changes: 0 stands in the place of the next old character, −n too and removes the n old ones
   * after it, 1 is new and comes from where the old character before it does.
   */
  transform(characters: readonly (readonly [string, number])[]): Aligned {
    const at: number[] = [];
    let text = "";
    let i = 0;
    for (let [c, change] of characters) {
      const from = this.at[change > 0 ? i - 1 : i] ?? this.at[0];
      for (; change <= 0; change++) i += width(this.text, i);
      for (let n = c.length; n; n--) at.push(from);
      text += c;
    }
    return new Aligned(text, at, this.original);
  }

  /** Puts `by` in the place of each match of `pattern` (flag g): it comes from the last character of the match, or of what precedes an empty one. */
  replace(pattern: RegExp, by: string | ((match: string) => string)): Aligned {
    if (typeof by === "string" && by.length === 1 && typeof this.#at === "number") {
      let same = true;
      const text = this.text.replace(pattern, (match) => {
        same &&= match.length === 1;
        return by;
      });
      if (same) return this.like(text);
    }
    const at: number[] = [];
    let text = "";
    let i = 0;
    const keep = (end: number) => {
      text += this.text.slice(i, end);
      while (i < end) at.push(this.at[i++]);
    };
    for (const { 0: match, index } of this.text.matchAll(pattern)) {
      keep(index);
      i += match.length;
      const put = typeof by === "string" ? by : by(match);
      for (let n = put.length; n; n--) at.push(this.at[i - 1] ?? this.at[0]);
      text += put;
    }
    if (!(i || text)) return this;
    keep(this.text.length);
    return new Aligned(text, at, this.original);
  }

  /** The pieces of the text, cut at the matches of `pattern` (flag g); with `invert` the matches are what lies between them. */
  split(pattern: RegExp, behavior: SplitBehavior, invert = false): Aligned[] {
    const pieces: [start: number, end: number][] = [];
    let before: boolean | undefined;
    let at = 0;
    const piece = (end: number, match: boolean) => {
      if (
        behavior === "Contiguous"
          ? match === before
          : behavior === "MergedWithPrevious"
            ? match && before === false
            : behavior === "MergedWithNext" && !match && before
      )
        pieces[pieces.length - 1][1] = end;
      else if (!(match && behavior === "Removed")) pieces.push([at, end]);
      before = match;
      at = end;
    };
    for (const { 0: match, index } of this.text.matchAll(pattern)) {
      if (index > at) piece(index, invert);
      piece(index + match.length, !invert);
    }
    if (at < this.text.length) piece(this.text.length, invert);
    return pieces.filter(([start, end]) => start < end).map(([start, end]) => this.slice(start, end));
  }
}
