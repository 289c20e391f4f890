import { type Node, pad, sideOf } from "../graph/graph.ts";
import type { Kept } from "../graph/lower.ts";
import { align } from "../graph/plan.ts";
import type { Block, Engine } from "./engine.ts";

let made = 0;

/** How many rows are kept of what stands on other sides of the graph: `{ encoder: 12 }`. */
export type SideRows = { readonly [side: string]: number };

/** Rows of keys and values that outlive a run, `rows` of each cache node, in an engine's memory. */
export class State implements Kept {
  readonly key = String(made++);
  readonly #block: Block;
  readonly #offsets = new Map<Node, number>();

  /** Call it within `enqueue`. @throws MemoryLimitError */
  constructor(
    readonly engine: Engine,
    nodes: readonly Node[],
    readonly rows: number,
    sides: SideRows = {},
  ) {
    let bytes = 0;
    for (const node of nodes) {
      const side = sideOf(node.rows);
      this.#offsets.set(node, bytes);
      bytes += align((side ? (sides[side] ?? 0) : rows) * pad(node.cols) * 4);
    }
    engine.memory.ensure(engine.top + bytes);
    this.#block = engine.reserve(bytes);
  }

  get bytes(): number {
    return this.#block.end - this.#block.at;
  }

  at(node: Node): number {
    return this.#block.at + this.#offsets.get(node)!;
  }

  /** Copies `rows` rows of every node of the graph's own side within the state. */
  copy(to: number, from: number, rows: number): void {
    for (const node of this.#offsets.keys()) {
      if (sideOf(node.rows)) continue;
      const row = pad(node.cols) * 4;
      this.engine.memory.copy(this.at(node) + to * row, this.at(node) + from * row, rows * row);
    }
  }

  dispose(): void {
    this.engine.enqueue(() => this.engine.release(this.#block)).catch(() => {});
  }
}
