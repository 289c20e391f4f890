import { UnsupportedOptionError } from "../errors.ts";
import { base, type Fused } from "../graph/fuse.ts";
import { cached, type Constant, type Node, pad, windowed } from "../graph/graph.ts";
import type { Kept } from "../graph/lower.ts";
import { Op, Record, Rotary, RotaryTable } from "../graph/op.ts";
import { align } from "../graph/plan.ts";
import { whole } from "../options.ts";
import type { Block, Engine } from "./engine.ts";
import { type Range, Ranges } from "./ranges.ts";

/** Keys of a block of the attention op (assembly/kernels/attention_layout.ts): where whole blocks go, later sums stay what they were. */
const PANEL = 96;
/** Rows of a window's region that new tokens may fill before old ones must go: two blocks, so that a long prompt comes in long parts. */
const SLACK = 2 * PANEL;

export interface CacheOptions {
  /** Tokens that it has room for; it grows when more come. */
  length?: number;
  /**
   * Most tokens that are kept besides the sinks: older ones are forgotten, some at a time, and memory stays what it is however long the text.
   * Layers whose attention has a window keep no more than that needs in any case.
   */
  window?: number;
  /** With `window`: the first tokens that are never forgotten (attention sinks, arXiv:2309.17453). Default 0. */
  sinks?: number;
}

/** Values kept of tokens for layers that see as far. */
interface Group {
  /** Tokens that a query sees, its own included; 0: all. */
  readonly window: number;
  readonly nodes: readonly Node[];
}

const groupsOf = ({ nodes }: Fused): Group[] => {
  const by = new Map<number, Node[]>();
  for (const n of nodes.filter(cached)) by.set(n.attrs.window, [...(by.get(n.attrs.window) ?? []), n]);
  return Array.from(by, ([window, nodes]) => ({ window, nodes }));
};

/** How many of a window's tokens go at once. */
const step = (window: number) => Math.min(PANEL, Math.max(1, Math.floor(window / 4)));

/** Rows that a sequence takes of a group. */
function rowsOf({ window }: Group, { length = 0, ...cache }: CacheOptions): number {
  if (window) return Math.min(length, align96(window - 1) + SLACK);
  return cache.window ? Math.min(length, (cache.sinks ?? 0) + cache.window) : length;
}

const align96 = (n: number) => Math.ceil(n / PANEL) * PANEL;

const bytesOf = ({ nodes }: Group, rows: number) => nodes.reduce((n, node) => n + align(rows * pad(node.cols) * 4), 0);

/** Bytes that one sequence's keys and values take. */
export const stateBytes = (graph: Fused, options: CacheOptions): number =>
  groupsOf(graph).reduce((n, group) => n + bytesOf(group, rowsOf(group, options)), 0);

/** @throws UnsupportedOptionError */
function checked(options: CacheOptions): CacheOptions {
  const { length = 0, window, sinks = 0 } = options;
  whole("length", length, 0);
  if (window !== undefined) whole("window", window);
  whole("sinks", sinks, 0);
  if (sinks && !window) throw new UnsupportedOptionError("sinks", sinks, ["with window"]);
  return { length, window, sinks };
}

let made = 0;

/**
 * Keys and values of sequences, in an engine's memory: of each node one table, in which a sequence has rows of its own. All its methods
 * and those of its sequences are for within `enqueue`, for they move memory.
 */
export class State implements Kept {
  key = "";
  readonly #groups: readonly (Group & { readonly taken: Ranges; rows: number })[];
  readonly #offsets = new Map<Node, number>();
  #block: Block | undefined;

  constructor(
    readonly engine: Engine,
    readonly graph: Fused,
  ) {
    this.#groups = groupsOf(graph).map((group) => ({ ...group, taken: new Ranges(), rows: 0 }));
  }

  get bytes(): number {
    return this.#block ? this.#block.end - this.#block.at : 0;
  }

  at(node: Node): number {
    return this.#block!.at + this.#offsets.get(node)!;
  }

  /** Room for a sequence. @throws MemoryLimitError, UnsupportedOptionError */
  open(options: CacheOptions): Sequence {
    const all = checked(options);
    return new Sequence(this, all, this.take(all));
  }

  /** Rows of each group. */
  take(options: CacheOptions): Region[] {
    const regions = this.#groups.map((group) => new Region(this, group, group.taken.reserve(rowsOf(group, options))));
    try {
      this.#fit();
    } catch (error) {
      this.give(regions);
      throw error;
    }
    return regions;
  }

  give(regions: readonly Region[]): void {
    for (const { range } of regions) for (const { taken } of this.#groups) taken.release(range);
    if (!this.#block || this.#groups.some(({ taken }) => taken.top)) return;
    this.engine.release(this.#block);
    this.#block = undefined;
    for (const group of this.#groups) group.rows = 0;
  }

  /** Makes the tables as long as what is taken. */
  #fit(): void {
    const { engine } = this;
    const rows = this.#groups.map((g) => Math.max(g.rows, g.taken.top));
    if (this.#block && rows.every((n, i) => n === this.#groups[i].rows)) return;
    const offsets = new Map<Node, number>();
    let bytes = 0;
    for (const [i, { nodes }] of this.#groups.entries()) {
      for (const node of nodes) {
        offsets.set(node, bytes);
        bytes += align(rows[i] * pad(node.cols) * 4);
      }
    }
    const old = this.#block;
    if (old) engine.memory.ensure(engine.top - (engine.top === old.end ? this.bytes : 0) + bytes);
    const block = (old && engine.extend(old, bytes)) ?? engine.reserve(bytes);
    try {
      engine.memory.ensure(engine.top);
    } catch (error) {
      engine.release(block);
      throw error;
    }
    // Where the block stays, tables move up: the last one first.
    if (old) {
      for (const { nodes, rows } of [...this.#groups].reverse())
        for (const node of [...nodes].reverse())
          engine.memory.copy(block.at + offsets.get(node)!, this.at(node), rows * pad(node.cols) * 4);
      if (block.at !== old.at) engine.release(old);
    }
    this.#block = block;
    for (const [i, group] of this.#groups.entries()) group.rows = rows[i];
    for (const [node, offset] of offsets) this.#offsets.set(node, offset);
    this.key = String(made++);
  }
}

/** A sequence's rows of one group: tokens `dropped` … behind the sinks, whole blocks of them forgotten. */
class Region {
  dropped = 0;

  constructor(
    readonly state: State,
    readonly group: Group,
    readonly range: Range,
  ) {}

  get rows(): number {
    return this.range.end - this.range.at;
  }

  /** Copies rows of each node, of this region or another one's. */
  copy(to: number, from: number, rows: number, source: Region = this): void {
    if (rows <= 0) return;
    const { memory } = this.state.engine;
    for (const node of this.group.nodes) {
      const row = pad(node.cols) * 4;
      const at = this.state.at(node);
      memory.copy(at + (this.range.at + to) * row, at + (source.range.at + from) * row, rows * row);
    }
  }
}

/** What a run reads of where a sequence stands. */
export interface Place {
  readonly position: number;
  /** By group: the row of the next token, and the first row. */
  readonly rows: readonly { readonly suffix: string; readonly first: number; readonly next: number }[];
}

/** One sequence's keys and values. */
export class Sequence {
  /** The tokens that it holds, those that it forgot included. */
  readonly ids: number[] = [];
  #regions: Region[];
  #options: CacheOptions;
  #closed = false;

  constructor(
    readonly state: State,
    options: CacheOptions,
    regions: Region[],
  ) {
    this.#options = options;
    this.#regions = regions;
  }

  get length(): number {
    return this.ids.length;
  }

  get options(): CacheOptions {
    return this.#options;
  }

  get bytes(): number {
    return this.#regions.reduce((n, { group, rows }) => n + bytesOf(group, rows), 0);
  }

  /** Whether positions count rows of the cache: with sinks, whose distance to the window must not grow. */
  get #moves(): boolean {
    return !!this.#options.sinks;
  }

  get place(): Place {
    const rows = this.#regions.map(({ group, range, dropped }) => ({
      suffix: windowed(group.window),
      first: range.at,
      next: range.at + this.length - dropped,
    }));
    return { position: this.length - this.#forgotten, rows };
  }

  /** Tokens that positions no longer count. */
  get #forgotten(): number {
    return this.#moves ? Math.max(0, ...this.#regions.filter((r) => !r.group.window).map((r) => r.dropped)) : 0;
  }

  /** How many tokens may come next in one run. Forgets what must go before the first of them. */
  room(): number {
    for (const region of this.#regions) if (this.length - region.dropped >= region.rows) this.#forget(region);
    return this.#regions.reduce((n, { dropped, rows }) => Math.min(n, rows + dropped - this.length), this.#left());
  }

  /** With a window tokens may come for ever. */
  #left(): number {
    return this.#regions.every(({ group }) => group.window || this.#options.window)
      ? Number.MAX_SAFE_INTEGER
      : this.#options.length! - this.length;
  }

  #forget(region: Region): void {
    const { length } = this;
    const { window } = region.group;
    if (window) {
      const dropped = Math.floor(Math.max(0, length - window + 1) / PANEL) * PANEL;
      region.copy(0, dropped - region.dropped, length - dropped);
      region.dropped = dropped;
    } else if (this.#options.window) {
      const { sinks = 0, window } = this.#options;
      const n = step(window);
      const rest = length - region.dropped - sinks - n;
      region.copy(sinks, sinks + n, rest);
      region.dropped += n;
    }
  }

  /** Room for `length` tokens in all. @throws MemoryLimitError */
  reserve(length: number): void {
    if (length <= this.#options.length!) return;
    const options = { ...this.#options, length };
    if (this.#regions.some((r) => rowsOf(r.group, options) > r.rows)) {
      const regions = this.state.take(options);
      for (const [i, region] of regions.entries()) this.#copy(region, this.#regions[i], 0);
      this.state.give(this.#regions);
      this.#regions = regions;
    }
    this.#options = options;
  }

  #copy(to: Region, from: Region, first: number): void {
    to.copy(first, first, this.length - from.dropped - first, from);
    to.dropped = from.dropped;
  }
}
