import type { Graph, Node, Value, Weight } from "../graph/graph.ts";
import { pad } from "../graph/graph.ts";
import type { Activation } from "../graph/op.ts";

/** Weights of an expert: rows of gates and of what they let through (or both in turn), and what follows. */
export interface Expert {
  readonly up: readonly Weight[];
  readonly down: Weight;
  readonly up_bias?: Weight;
  readonly down_bias?: Weight;
}

/** What each token chose: factors [T, chosen] and the experts' numbers. */
export interface Choice {
  readonly weights: Value;
  readonly index: Value;
}

/** The `chosen` largest of logits, and their probabilities: among all, or (`normed`) among themselves. */
export function choose(g: Graph, logits: Value, chosen: number, normed: boolean): Choice {
  const best = g.topK(normed ? logits : g.softmax(logits), chosen);
  const values = g.columns(best, 0, chosen);
  return { weights: normed ? g.softmax(values) : values, index: g.columns(best, pad(chosen), chosen) };
}

/** A mixture of experts (arXiv:2101.03961) with `inner` columns each. A `limit` is of gpt-oss's gates. */
export function mixture(
  g: Graph,
  x: Value,
  { weights, index }: Choice,
  experts: readonly Expert[],
  inner: number,
  kind: Activation,
  limit = 0,
): Node {
  // Each begins with a panel of its own.
  const whole = (weight: Weight, size: number) => (size % 8 ? [weight, pad(size) - size] : [weight]);
  const matrices = (cols: number, of: (e: Expert) => readonly Weight[]) =>
    g.stack(
      experts.flatMap((e) => of(e).flatMap((w) => whole(w, w.rows))),
      cols,
    );
  const vectors = (of: (e: Expert) => Weight | undefined) =>
    of(experts[0]) && g.stack(experts.flatMap((e) => whole(of(e)!, of(e)!.cols)));
  const up = matrices(x.cols, (e) => e.up);
  const down = matrices(inner, (e) => [e.down]);
  const biases = { up_bias: vectors((e) => e.up_bias), down_bias: vectors((e) => e.down_bias) };
  const attrs = { experts: experts.length, inner, kind, limit };
  return g.experts(x, weights, index, { up, down, ...biases }, attrs);
}
