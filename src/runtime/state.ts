import { UnsupportedOptionError } from "../errors.ts";
import { type Node, pad } from "../graph/graph.ts";
import { align } from "../graph/plan.ts";
import { whole } from "../options.ts";
import type { Block, Engine } from "./engine.ts";
import { type CacheOptions, type Group, groupsOf, lengthOf, rowsOf, type SideRows, type Tables } from "./kept.ts";
import { type Range, Ranges } from "./ranges.ts";
import { Sequence } from "./sequence.ts";
import type { Session } from "./session.ts";
import { turnsOf } from "./turn.ts";

let made = 0;

/**
 * Keys and values of sequences, in an engine's memory: of each node one table, in which a sequence has rows of its own. Its methods and
 * those of its sequences are for within `enqueue`, for they move memory.
 */
export class State implements Tables {
  /** Another one whenever tables have moved. */
  key = "";
  readonly groups: readonly (Group & { readonly taken: Ranges; rows: number })[];
  readonly #offsets = new Map<Node, number>();
  #block: Block | undefined;

  readonly engine: Engine;
  readonly weights: Session["layout"]["weights"];

  constructor(readonly session: Session) {
    this.engine = session.engine;
    this.weights = session.layout.weights;
    this.groups = groupsOf(session.layout.stateful).map((group) => ({ ...group, taken: new Ranges(), rows: 0 }));
  }

  at(node: Node): number {
    return this.#block!.at + this.#offsets.get(node)!;
  }

  /** Room for a sequence. @throws MemoryLimitError, UnsupportedOptionError */
  open(options: CacheOptions): Sequence {
    const { window, sinks = 0 } = options;
    const length = whole("length", lengthOf(options), 0);
    if (window !== undefined) whole("window", window);
    if (whole("sinks", sinks, 0) && !window) throw new UnsupportedOptionError("sinks", sinks, ["0 without window"]);
    const turns = sinks ? turnsOf(this.session.layout.stateful) : [];
    return new Sequence(this, { length, window, sinks }, turns);
  }

  take(options: CacheOptions): Range[] {
    return this.#take(this.groups.filter(({ side }) => !side).map((group) => rowsOf(group, options)));
  }

  /** Rows of what other sides of the graph give, until they are given back; of all nodes of a side they are the same. @throws MemoryLimitError */
  takeSides(rows: SideRows): Range[] {
    return this.#take(this.groups.map(({ side }) => rows[side] ?? 0));
  }

  #take(counts: readonly number[]): Range[] {
    const rows = counts.map((n, i) => this.groups[i].taken.reserve(n));
    try {
      this.#fit();
    } catch (error) {
      this.give(rows);
      throw error;
    }
    return rows;
  }

  give(rows: readonly Range[]): void {
    for (const [i, range] of rows.entries()) this.groups[i].taken.release(range);
    if (!this.#block || this.groups.some(({ taken }) => taken.top)) return;
    this.engine.release(this.#block);
    this.#block = undefined;
    for (const group of this.groups) group.rows = 0;
  }

  /** Makes the tables as long as what is taken. */
  #fit(): void {
    const { engine } = this;
    const old = this.#block;
    const rows = this.groups.map((g) => Math.max(g.rows, g.taken.top));
    if (old && rows.every((n, i) => n === this.groups[i].rows)) return;
    const offsets = new Map<Node, number>();
    let bytes = 0;
    for (const [i, { nodes }] of this.groups.entries()) {
      for (const node of nodes) {
        offsets.set(node, bytes);
        bytes += align(rows[i] * pad(node.cols) * 4);
      }
    }
    let block: Block;
    if (old && engine.top === old.end) {
      engine.memory.ensure(old.at + bytes);
      block = engine.extend(old, bytes)!;
    } else {
      block = engine.reserve(bytes);
      try {
        engine.memory.ensure(engine.top);
      } catch (error) {
        engine.release(block);
        throw error;
      }
    }
    if (old) {
      // Where the block stays, tables move up: the last one first.
      for (const { nodes, rows } of this.groups.toReversed())
        for (const node of nodes.toReversed())
          engine.memory.copy(block.at + offsets.get(node)!, this.at(node), rows * pad(node.cols) * 4);
      engine.release(old);
    }
    this.#block = block;
    for (const [i, group] of this.groups.entries()) group.rows = rows[i];
    for (const [node, offset] of offsets) this.#offsets.set(node, offset);
    this.key = String(made++);
  }
}

const states = new WeakMap<Session, State>();

/** All that is kept in a session's engine: one state, so that any of its sequences may run together. */
export function stateOf(session: Session): State {
  const state = states.get(session) ?? new State(session);
  states.set(session, state);
  return state;
}
