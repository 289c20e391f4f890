import { describe, expect, it } from "vitest";
import { checkpointOf } from "../../src/format/tensors.ts";
import "../../src/host/node.ts";
import { base, fuse } from "../../src/graph/fuse.ts";
import { Op } from "../../src/graph/op.ts";
import { Engine } from "../../src/runtime/engine.ts";
import { Session } from "../../src/runtime/session.ts";
import { random, randomGraph } from "./random.ts";

describe("graph, fusion, plan, lowering and execution together", () => {
  it("give what naive loops give, on random graphs at several row counts", async () => {
    const engine = await Engine.create();
    for (let seed = 1; seed <= 150; seed++) {
      const graph = randomGraph(seed);
      const names = Object.keys(graph.outputs);
      const used = new Set(
        fuse(graph.nodes, graph.outputs).nodes.flatMap((n) => Object.values(n.inputs).flatMap((v) => weightsOf(v))),
      );
      const tensors = Object.fromEntries(Object.entries(graph.tensors).filter(([name]) => used.has(name)));
      const session = await Session.load(graph, [checkpointOf(tensors)], { engine });
      const next = random(seed + 1000);
      for (const rows of [7, 1, 30, 13]) {
        const x = Float32Array.from({ length: rows * graph.cols }, () => next() * 2 - 1);
        const ids = Int32Array.from({ length: rows }, () => Math.floor(next() * graph.vocab));
        const want = graph.naive(x, ids);
        const got = await session.run(names, { T: rows, B: 1, P: 0, S: 0, R: 0 }, { x, ids }, (values, copy) =>
          values.map(copy),
        );
        names.forEach((name, i) => {
          const flat = want[name].flatMap((row) => [...row]);
          const scale = Math.max(1, ...flat.map(Math.abs));
          const worst = flat.reduce((m, v, j) => Math.max(m, Math.abs(v - got[i][j])), 0);
          expect(worst / scale, `seed ${seed}, ${rows} rows, ${name}`).toBeLessThan(1e-4);
        });
      }
      session.dispose();
    }
  });

  it("fold activations, residual sums and sibling projections, but never what is an output", () => {
    let folded = 0;
    for (let seed = 1; seed <= 150; seed++) {
      const { nodes, outputs } = randomGraph(seed);
      const fused = fuse(nodes, outputs);
      folded += nodes.length - fused.nodes.length;
      const made = new Set(fused.nodes);
      for (const v of Object.values(fused.outputs).flat()) {
        const b = base(v as never);
        expect(b.kind !== "node" || made.has(b)).toBe(true);
      }
      // What a node reads is made before it.
      const done = new Set<unknown>();
      for (const n of fused.nodes) {
        for (const v of Object.values(n.inputs)) {
          const b = v && base(v);
          if (b?.kind === "node") expect(done.has(b)).toBe(true);
        }
        done.add(n);
      }
      expect(fused.nodes.filter((n) => n.op === Op.matmul).length).toBeLessThanOrEqual(
        nodes.filter((n) => n.op === Op.matmul).length,
      );
    }
    expect(folded).toBeGreaterThan(30);
  });
});

function weightsOf(v: unknown): string[] {
  const value = v as { kind?: string; name: string; of: unknown; parts: { weight?: unknown }[] } | undefined;
  if (value?.kind === "weight") return [value.name];
  if (value?.kind === "view") return weightsOf(value.of);
  return value?.kind === "stack" ? value.parts.flatMap((p) => weightsOf(p.weight)) : [];
}
