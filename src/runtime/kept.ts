/** What a run keeps of tokens, and how many rows that takes. */

import type { Fused } from "../graph/fuse.ts";
import { cached, type Node, pad, sideOf } from "../graph/graph.ts";
import type { Kept, Residents } from "../graph/lower.ts";
import { align } from "../graph/plan.ts";
import type { Engine } from "./engine.ts";
import type { Range } from "./ranges.ts";

/** Keys of a block of the attention op (assembly/kernels/attention_layout.ts): where whole blocks go, later sums stay what they were. */
export const PANEL = 96;
/** Rows that a layer with a window has beside it, for new tokens: two blocks, so that a long prompt comes in long parts. */
const SLACK = 2 * PANEL;
/** Tokens of the past that such a layer keeps for nothing but that some may be taken back: drafts, or a text that goes on otherwise. */
export const SPARE = 32;

export interface CacheOptions {
  /** Tokens that it has room for; it grows when more come. Default: none, or as many as fit into `window`. */
  length?: number;
  /**
   * Most tokens that are kept besides the sinks: older ones are forgotten, some at a time, and memory stays what it is however long the text.
   * Layers whose attention has a window keep no more than that needs in any case.
   */
  window?: number;
  /** With `window`: the first tokens that are never forgotten (attention sinks, arXiv:2309.17453). Default 0. */
  sinks?: number;
}

/** Values kept of tokens for layers that see as far, or of another side's rows. */
export interface Group {
  /** The side of the graph whose rows they are: "" for tokens' own. */
  readonly side: string;
  /** Tokens that a query sees, its own included; 0: all. */
  readonly window: number;
  readonly nodes: readonly Node[];
}

/** Those of tokens first. */
export const groupsOf = ({ nodes }: Fused): Group[] => {
  const by = new Map<string, Group & { nodes: Node[] }>();
  for (const n of nodes.filter(cached)) {
    const [side, { window }] = [sideOf(n.rows), n.attrs];
    const key = `${side} ${window}`;
    by.set(key, { side, window, nodes: [...(by.get(key)?.nodes ?? []), n] });
  }
  return [...by.values()].sort((a, b) => +!!a.side - +!!b.side);
};

/** How many rows are kept, or where they begin, by side of the graph. */
export type SideRows = { readonly [side: string]: number };

/** Whether the sequence's own window decides what a group keeps, not that of its attention. */
export const limited = ({ window: own }: Group, { window, sinks = 0 }: CacheOptions) =>
  window !== undefined && (!own || sinks + window <= own);

/** How many tokens of such a window go at once: few, so that nearly all of it is there, but whole blocks of a large one. */
export const step = (window: number) => Math.min(PANEL, Math.max(1, Math.floor(window / 4)));

/** Tokens that it has room for: with a window, any number. */
export const lengthOf = ({ length, window }: CacheOptions): number => length ?? (window ? Number.MAX_SAFE_INTEGER : 0);

/** Rows that a sequence takes of a group. */
export function rowsOf(group: Group, options: CacheOptions): number {
  if (group.side) return 0;
  const { window = 0, sinks = 0, length = lengthOf(options) } = options;
  if (limited(group, options)) return Math.min(length, sinks + window);
  return group.window ? Math.min(length, Math.ceil((group.window - 1) / PANEL) * PANEL + SLACK) : length;
}

export const bytesOf = ({ nodes }: Group, rows: number) =>
  nodes.reduce((n, node) => n + align(rows * pad(node.cols) * 4), 0);

/** Bytes that sequences' keys and values take. */
export const stateBytes = (graph: Fused, options: CacheOptions, sequences = 1): number =>
  groupsOf(graph).reduce((n, group) => n + bytesOf(group, sequences * rowsOf(group, options)), 0);

/** Most tokens of a sequence that come in one run. */
export const partOf = (graph: Fused, options: CacheOptions): number =>
  Math.min(...groupsOf(graph).flatMap((group) => (group.side ? [] : rowsOf(group, options))));

/** Tables of keys and values, by node: where sequences have their rows. */
export interface Tables extends Kept {
  readonly engine: Engine;
  readonly weights: Residents;
  readonly groups: readonly Group[];
  /** Rows for a sequence, by group. @throws MemoryLimitError */
  take(options: CacheOptions): readonly Range[];
  give(rows: readonly Range[]): void;
}
