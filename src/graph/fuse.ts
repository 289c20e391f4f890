import { cached, isConstant, type Node, type Stack, type Value, type Weight } from "./graph.ts";
import { Activation, Binary, Op } from "./op.ts";

/** Named results of a graph, one value or one a layer. */
export type Outputs = Readonly<Record<string, Value | readonly Value[]>>;

export interface Fused {
  nodes: readonly Node[];
  outputs: Outputs;
}

/**
 * Rewrites a graph so that matmul does what follows it: its activation, then a residual sum; a sum of embeddings becomes a chain of
 * gathers; projections of one input become one matmul over stacked weights. The values named in `outputs` stay values.
 */
export function fuse(nodes: readonly Node[], outputs: Outputs): Fused {
  const folded = rewrite(nodes, outputs, foldEpilogues);
  return rewrite(folded.nodes, folded.outputs, stackSiblings(folded));
}

/**
 * What becomes of one node: puts into `out` what is executed and returns the value that stands for the node from here on. `node` is
 * `original` with inputs already rewritten; `alone(v)` tells that v is an executed node whose only use this is.
 */
type Step = (node: Node, original: Node, out: Set<Node>, alone: (v: Value) => boolean) => Value;

function rewrite(nodes: readonly Node[], outputs: Outputs, step: Step): Fused {
  const by = new Map<Value, Value>();
  const uses = new Map<Value, number>();
  const origin = new Map<Value, Value>();
  const out = new Set<Node>();
  const map = (v: Value): Value => {
    if (v.kind !== "view") return by.get(v) ?? v;
    const of = map(v.of);
    if (of === v.of) return v;
    if (!by.has(v))
      by.set(v, of.kind === "view" ? { ...of, offset: of.offset + v.offset, cols: v.cols } : { ...v, of });
    return by.get(v)!;
  };
  const use = (v: Value, times: number) => uses.set(base(v), (uses.get(base(v)) ?? 0) + times);
  for (const n of nodes) for (const v of Object.values(n.inputs)) if (v) use(v, 1);
  for (const v of Object.values(outputs).flat()) use(v, 2); // an output is never folded away
  const alone = (v: Value) => v.kind === "node" && out.has(v) && uses.get(origin.get(v) ?? v) === 1;
  for (const n of nodes) {
    const moved = Object.values(n.inputs).some((v) => v && map(v) !== v);
    const node = moved
      ? { ...n, inputs: Object.fromEntries(Object.entries(n.inputs).map(([k, v]) => [k, v && map(v)])) }
      : n;
    const made = step(node, n, out, alone);
    if (made !== n) by.set(n, made);
    origin.set(made, n);
  }
  const named = Object.entries(outputs).map(([k, v]) => [k, Array.isArray(v) ? v.map(map) : map(v as Value)]);
  return { nodes: [...out], outputs: Object.fromEntries(named) };
}

/** The same without a state: keys and values are what this run computes, and nothing is kept. */
export function stateless({ nodes, outputs }: Fused): Fused {
  if (!nodes.some(cached)) return { nodes, outputs };
  return rewrite(nodes, outputs, (node, _original, out) => {
    if (cached(node)) return node.inputs.x!;
    const { inputs } = node;
    // Another side's keys lie where the host says, kept or not.
    const made =
      inputs.k_ends && inputs.q!.rows === inputs.k!.rows
        ? { ...node, inputs: { ...inputs, k_offsets: inputs.q_offsets, k_ends: undefined } }
        : node;
    out.add(made);
    return made;
  });
}

/** A matmul or a gather that can still take a residual sum. */
const open = (v: Value | undefined, op: Op) =>
  v?.kind === "node" && v.op === op && !v.attrs.heads && !v.inputs.residual;

const foldEpilogues: Step = (node, _original, out, alone) => {
  const fold = (producer: Node, change: Partial<Node>): Node => {
    const made = { ...producer, ...change };
    out.delete(producer);
    out.add(made); // at the consumer's place, where every input is ready
    return made;
  };
  const { x, a, b } = node.inputs;
  if (node.op === Op.unary && open(x, Op.matmul) && alone(x!) && node.attrs.kind < Activation.sigmoid) {
    const producer = x as Node;
    if (!producer.attrs.activation)
      return fold(producer, { attrs: { ...producer.attrs, activation: node.attrs.kind } });
  }
  if (node.op === Op.binary && node.attrs.kind === Binary.add && a && b && a.rows === b.rows) {
    for (const [v, residual] of [
      [b, a],
      [a, b],
    ]) {
      // biome-ignore format: the two orders
      if ((open(v, Op.matmul) || open(v, Op.embed)) && alone(v) && !isConstant(residual)) {
        return fold(v as Node, { inputs: { ...(v as Node).inputs, residual } });
      }
    }
  }
  out.add(node);
  return node;
};

/** A matmul over weights that can lie under others, with nothing folded in. */
function isPlain(n: Node): boolean {
  const weight = (v: Value | undefined) => !v || (v.kind === "weight" && !v.transposed);
  return open(n, Op.matmul) && !n.attrs.activation && weight(n.inputs.b) && weight(n.inputs.bias);
}

/** Siblings further apart, in ops, are of other layers (what decoders read of an encoder): made together, all would wait for the last. */
const NEAR = 32;

function stackSiblings({ nodes, outputs }: Fused): Step {
  const kept = new Set(Object.values(outputs).flat());
  const groups = new Map<Node, { readonly nodes: Node[]; last: number }>();
  const latest = new Map<Value, { readonly nodes: Node[]; last: number }>();
  for (const [i, n] of nodes.entries()) {
    if (!isPlain(n) || n.constant || kept.has(n)) continue;
    const a = n.inputs.a!;
    const near = latest.get(a);
    const group = near && i - near.last <= NEAR ? near : { nodes: [], last: i };
    latest.set(a, group);
    groups.set(n, group);
    group.nodes.push(n);
    group.last = i;
  }
  const stacks = new Map<Node[], Node>();
  // Layers that share their weights share the stack.
  const values = new Map<string, Stack>();
  return (node, original, out) => {
    const group = groups.get(original)?.nodes;
    if (!group || group.length < 2) {
      out.add(node);
      return node;
    }
    let stack = stacks.get(group);
    if (!stack) {
      const cols = group.reduce((sum, n) => sum + n.cols, 0);
      const stacked = (name: string, rows: number, cols: number) => {
        const parts = group.map((n) => ({ weight: n.inputs[name] as Weight | undefined, size: n.cols }));
        const key = `${rows} ${parts.map((p) => p.weight?.name ?? p.size).join(" ")}`;
        const value: Stack = values.get(key) ?? { kind: "stack", rows, cols, parts };
        values.set(key, value);
        return value;
      };
      const b = stacked("b", cols, node.inputs.a!.cols);
      const bias = stacked("bias", 1, cols);
      stack = {
        ...node,
        cols,
        inputs: { a: node.inputs.a, b, bias: group.some((n) => n.inputs.bias) ? bias : undefined },
      };
      stacks.set(group, stack);
      out.add(stack);
    }
    const offset = group.slice(0, group.indexOf(original)).reduce((sum, n) => sum + n.cols, 0);
    return { kind: "view", of: stack, offset, rows: node.rows, cols: node.cols };
  };
}

/** The value whose buffer `v` lies in. */
export function base(v: Value): Exclude<Value, { kind: "view" }> {
  return v.kind === "view" ? base(v.of) : v;
}
