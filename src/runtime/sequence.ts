import { pad, windowed } from "../graph/graph.ts";
import { bytesOf, type CacheOptions, type Group, limited, PANEL, rowsOf, SPARE, step, type Tables } from "./kept.ts";
import type { Range } from "./ranges.ts";

import { type Turn, turn } from "./turn.ts";

/** A sequence's rows of one group: those of its tokens but `dropped` that were forgotten, behind the sinks where there are any. */
export class Region {
  dropped = 0;

  constructor(
    readonly tables: Tables,
    readonly group: Group,
    readonly range: Range,
  ) {}

  get rows(): number {
    return this.range.end - this.range.at;
  }

  /** Copies rows of each node, from this region or another one of the group. */
  copy(to: number, from: number, rows: number, source: Region = this): void {
    if (rows <= 0) return;
    const { memory } = this.tables.engine;
    for (const node of this.group.nodes) {
      const row = pad(node.cols) * 4;
      const at = this.tables.at(node);
      memory.copy(at + (this.range.at + to) * row, at + (source.range.at + from) * row, rows * row);
    }
  }
}

/** Where a sequence stands: the position of its next token, and by group (`suffix`: of its inputs) the first row and the next one. */
export interface Place {
  readonly position: number;
  readonly rows: readonly { readonly suffix: string; readonly first: number; readonly next: number }[];
}

/** One sequence's keys and values. Its methods are for within `enqueue`, for they move memory. */
export class Sequence {
  /** Its tokens, those that it forgot included. */
  ids: number[] = [];
  #options: CacheOptions;
  #regions: readonly Region[];
  /** How keys turn when positions move: with sinks, which must not be left behind by the window. */
  readonly #turns: readonly Turn[];

  constructor(
    readonly tables: Tables,
    options: CacheOptions,
    turns: readonly Turn[],
  ) {
    this.#options = options;
    this.#turns = turns;
    this.#regions = this.#take(options);
  }

  #take(options: CacheOptions): Region[] {
    const { tables } = this;
    return tables.take(options).map((range, i) => new Region(tables, tables.groups[i], range));
  }

  #give(): void {
    this.tables.give(this.#regions.map((r) => r.range));
  }

  get length(): number {
    return this.ids.length;
  }

  get options(): CacheOptions {
    return this.#options;
  }

  /** Bytes of its rows. */
  get bytes(): number {
    return this.#regions.reduce((n, { group, rows }) => n + bytesOf(group, rows), 0);
  }

  get regions(): readonly Region[] {
    return this.#regions;
  }

  get place(): Place {
    const rows = this.#regions.map(({ group, range, dropped }) => ({
      suffix: windowed(group.window),
      first: range.at,
      next: range.at + this.length - dropped,
    }));
    const moved = this.#options.sinks ? this.#regions.find(this.#limited)?.dropped : 0;
    return { position: this.length - (moved ?? 0), rows };
  }

  readonly #limited = ({ group }: Region) => limited(group, this.#options);

  /** Room for `length` tokens in all, as far as they are kept. @throws MemoryLimitError */
  reserve(length: number): void {
    if (length <= this.#options.length!) return;
    const options = { ...this.#options, length };
    if (this.#regions.some((r) => rowsOf(r.group, options) > r.rows)) {
      const regions = this.#take(options);
      for (const [i, region] of regions.entries()) this.#copy(region, this.#regions[i]);
      this.#give();
      this.#regions = regions;
    }
    this.#options = options;
  }

  #copy(to: Region, from: Region, first = 0): void {
    to.copy(first, first, this.length - from.dropped - first, from);
    to.dropped = from.dropped;
  }

  /** How many of the next `tokens` may come in one run. Forgets what must go before the first of them. @throws MemoryLimitError */
  room(tokens: number): number {
    this.reserve(this.length + tokens);
    const full = this.#regions.filter((r) => this.length - r.dropped >= r.rows);
    for (const region of full) if (!this.#limited(region)) this.#slide(region);
    const over = full.filter(this.#limited);
    if (over.length) this.#evict(over);
    return this.#regions.reduce((n, r) => Math.min(n, r.rows + r.dropped - this.length), tokens);
  }

  /** Forgets whole blocks that the attention's window no longer reaches. */
  #slide(region: Region): void {
    const reach = Math.max(0, this.length - SPARE - region.group.window + 1);
    const dropped = reach - (reach % PANEL);
    region.copy(0, dropped - region.dropped, this.length - dropped);
    region.dropped = dropped;
  }

  /** Forgets the oldest behind the sinks; with sinks, all others move to their places. */
  #evict(over: readonly Region[]): void {
    const { window = 0, sinks = 0 } = this.#options;
    const n = step(window);
    for (const region of over) {
      region.copy(sinks, sinks + n, this.length - region.dropped - sinks - n);
      region.dropped += n;
    }
    if (!this.#turns.length) return;
    const spans = this.#regions.map((r) => {
      const first = over.includes(r) ? sinks : 0;
      return { group: r.group, first: r.range.at + first, rows: this.length - r.dropped - first };
    });
    turn(this.tables, this.#turns, spans, -n);
  }

  /** Keeps the first tokens, `length` of them or, where what they need was forgotten, none. Returns how many. */
  truncate(length: number): number {
    if (length >= this.length) return this.length;
    const kept = this.#regions.every((r) => this.#reaches(r, length));
    if (!kept) for (const region of this.#regions) region.dropped = 0;
    this.ids.length = kept ? length : 0;
    return this.length;
  }

  /** Whether what it forgot is nothing that the first `length` tokens, or what follows them, need. */
  #reaches({ dropped, group }: Region, length: number): boolean {
    const { window = 0, sinks = 0 } = this.#options;
    const limits = limited(group, this.#options);
    return !dropped || length >= dropped + (limits ? sinks + window - step(window) : group.window - 1);
  }

  /** Whether it may have forgotten what it says, and has room for the rest: for what a file tells. */
  holds(region: Region): boolean {
    const { dropped, group, rows } = region;
    const unit = limited(group, this.#options)
      ? step(this.#options.window!)
      : group.window
        ? PANEL
        : Number.POSITIVE_INFINITY;
    const right = dropped === 0 || (dropped > 0 && dropped % unit === 0 && this.#reaches(region, this.length));
    return right && this.length - dropped <= rows;
  }

  /** Becomes what `other` is: only what differs is copied. @throws MemoryLimitError */
  assign(other: Sequence): void {
    this.reserve(other.#options.length!);
    let same = 0;
    while (same < this.length && same < other.length && this.ids[same] === other.ids[same]) same++;
    this.ids = [...other.ids];
    for (const [i, region] of this.#regions.entries()) {
      const from = other.#regions[i];
      this.#copy(region, from, region.dropped === from.dropped ? Math.max(0, same - from.dropped) : 0);
    }
  }

  /** Another one that holds the same. @throws MemoryLimitError */
  fork(): Sequence {
    const made = new Sequence(this.tables, this.#options, this.#turns);
    made.assign(this);
    return made;
  }

  close(): void {
    this.#give();
    this.#regions = [];
    this.ids = [];
  }
}
