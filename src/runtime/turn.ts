import { UnsupportedOptionError } from "../errors.ts";
import { base, type Fused } from "../graph/fuse.ts";
import { cached, type Node, pad, type Value } from "../graph/graph.ts";
import { Op, Record, Rotary, RotaryTable } from "../graph/op.ts";
import type { Group, Tables } from "./kept.ts";

/** Cached keys that lie rotated by their positions, and the ops that did it. */
export interface Turn {
  readonly keys: Node;
  readonly rotary: Node;
  readonly table: Node;
}

/**
 * The keys that must turn when positions move. Positions may reach keys in no other way. @throws UnsupportedOptionError
 */
export function turnsOf({ nodes }: Fused): Turn[] {
  const isOp = (v: Value, op: Op): v is Node => v.kind === "node" && v.op === op;
  const turns: Turn[] = [];
  for (const node of nodes) {
    for (const [name, value] of Object.entries(node.inputs)) {
      const v = value && base(value);
      if (!v) continue;
      const fits =
        v.kind === "input"
          ? v.name !== "inv_freq" && (v.name !== "position_ids" || node.op === Op.rotary_table)
          : isOp(v, Op.rotary_table)
            ? node.op === Op.rotary
            : isOp(v, Op.rotary)
              ? cached(node) || (node.op === Op.attention && name === "q")
              : true;
      if (!fits)
        throw new UnsupportedOptionError("sinks", "this model", [
          "models whose positions only rotate queries and keys",
        ]);
      if (cached(node) && isOp(v, Op.rotary))
        turns.push({ keys: node, rotary: v, table: base(v.inputs.table!) as Node });
    }
  }
  return turns;
}

/**
 * Moves keys by `delta` positions: a rotation by the angle between, for angles of rotations add up (arXiv:2104.09864). Each costs a
 * rounding, and a key sees no more of them than its window has blocks.
 */
export function turn(
  tables: Tables,
  turns: readonly Turn[],
  spans: readonly { readonly group: Group; readonly first: number; readonly rows: number }[],
  delta: number,
): void {
  const { engine, weights } = tables;
  const cols = Math.max(...turns.map((t) => pad(t.table.cols)));
  const [record, positions, out] = [0, 4 * Record.words, 4 * Record.words + 64].map((n) => engine.top + n);
  engine.memory.ensure(out + cols * 4);
  const run = (words: { readonly [word: number]: number }) => {
    const all = new Int32Array(Record.words);
    for (const [i, word] of Object.entries(words)) all[+i] = word;
    engine.memory.write(record, all);
    engine.call(record, 0, 1);
  };
  engine.memory.write(positions, Int32Array.of(delta));
  let table: Node | undefined;
  for (const t of turns) {
    if (t.table !== table) {
      table = t.table;
      run({
        [Record.op]: Op.rotary_table,
        [Record.rows]: 1,
        [Record.out]: out,
        [RotaryTable.positions]: positions,
        [RotaryTable.inv_freq]: weights.at(table.inputs.inv_freq!)!,
        [RotaryTable.half]: table.attrs.half,
        [RotaryTable.ldo]: pad(table.cols),
        [RotaryTable.scale]: ONE,
      });
    }
    const { first, rows } = spans.find((s) => s.group.nodes.includes(t.keys))!;
    const ld = pad(t.keys.cols);
    const at = tables.at(t.keys) + first * ld * 4;
    const { heads, head_dim, half, interleaved } = t.rotary.attrs;
    if (rows > 0)
      run({
        [Record.op]: Op.rotary,
        [Record.rows]: rows,
        [Record.out]: at,
        [Rotary.x]: at,
        [Rotary.table]: out,
        [Rotary.heads]: heads,
        [Rotary.head_dim]: head_dim,
        [Rotary.half]: half,
        [Rotary.ldo]: ld,
        [Rotary.ldx]: ld,
        [Rotary.ldt]: 0,
        [Rotary.interleaved]: interleaved,
      });
  }
}

/** The bits of 1: what a table was scaled by is in the keys. */
const ONE = 0x3f800000;
