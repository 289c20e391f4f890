/** Whole numbers from `at` to `end`, `end` excluded. One may be empty, so a number alone does not name it. */
export interface Range {
  readonly at: number;
  readonly end: number;
}

/** Ranges in use, by where they begin. */
export class Ranges {
  #all: Range[] = [];

  constructor(readonly first = 0) {}

  /** The number behind all of them. */
  get top(): number {
    return this.#all.at(-1)?.end ?? this.first;
  }

  /** Takes `size` numbers in the lowest gap that holds them. */
  reserve(size: number): Range {
    let at = this.first;
    let i = 0;
    for (; i < this.#all.length && this.#all[i].at < at + size; i++) at = this.#all[i].end;
    const range = { at, end: at + size };
    this.#all.splice(i, 0, range);
    return range;
  }

  /** The same range with another end, if it is the last one. */
  extend(range: Range, size: number): Range | undefined {
    if (this.#all.at(-1) !== range) return;
    this.#all.pop();
    const made = { at: range.at, end: range.at + size };
    this.#all.push(made);
    return made;
  }

  release(range: Range): void {
    this.#all = this.#all.filter((r) => r !== range);
  }
}
