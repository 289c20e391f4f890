import { expect, it } from "vitest";
import { checkpointOf } from "../../src/format/tensors.ts";
import { Graph } from "../../src/graph/graph.ts";
import { Activation } from "../../src/graph/op.ts";
import { Engine } from "../../src/runtime/engine.ts";
import { Session } from "../../src/runtime/session.ts";
import { Tensor } from "../../src/tensor.ts";
import { random, randomGraph } from "./random.ts";
import "../../src/host/node.ts";

const dims = { T: 3, B: 1, P: 0, S: 0, R: 0 };

function tensor(seed: number, shape: number[]) {
  const next = random(seed);
  return new Tensor(
    Float32Array.from({ length: shape.reduce((a, b) => a * b) }, () => next() - 0.5),
    shape,
  );
}

/** x · wᵀ by plain loops in f64, w [n, k] given by its elements. */
const matmul = (x: Float32Array, k: number, n: number, w: (n: number, k: number) => number) =>
  Array.from({ length: (x.length / k) * n }, (_, i) => {
    let sum = 0;
    for (let j = 0; j < k; j++) sum += x[Math.floor(i / n) * k + j] * w(i % n, j);
    return sum;
  });

it("a matmul over more weights than one turn bears is several records, with one result", async () => {
  const [k, n] = [700, 12_001];
  const all = { w: tensor(1, [n, k]), b: tensor(2, [n]) };
  const g = new Graph(new Map());
  const out = g.add(
    g.activation(g.linear(g.input("x", "T", "f32", k), g.weight("w", [n, k]), g.weight("b", [n])), Activation.relu),
    g.input("y", "T", "f32", n),
  );
  const session = await Session.load({ nodes: g.nodes, outputs: { out } }, [checkpointOf(all)]);
  const [x, y] = [tensor(3, [3, k]).data, tensor(4, [3, n]).data];
  const run = () => session.run(["out"], dims, { x, y }, ([v], copy) => copy(v));
  const want = matmul(x, k, n, (i, j) => all.w.data[i * k + j]).map(
    (v, i) => Math.max(0, v + all.b.data[i % n]) + y[i],
  );
  for (let i = 0; i < 3; i++) {
    const got = await run();
    expect(got.reduce((worst, v, j) => Math.max(worst, Math.abs(v - want[j])), 0)).toBeLessThan(1e-4);
  }
  const { steps } = session.layout.program(["out"]).bind(dims, session.engine.top, session.layout.weights);
  expect(steps).toHaveLength(1);
  expect(steps[0].last - steps[0].first).toBe(2);
  session.dispose();
});

it("projections that are stored transposed stay apart: each lands where it belongs", async () => {
  const all = { a: tensor(1, [10, 6]), b: tensor(2, [10, 7]) };
  const g = new Graph(new Map());
  const x = g.input("x", "T", "f32", 10);
  const [a, b] = [g.linear(x, g.weight("a", [10, 6], true)), g.linear(x, g.weight("b", [10, 7], true))];
  const out = g.concat([a, b]);
  const session = await Session.load({ nodes: g.nodes, outputs: { out } }, [checkpointOf(all)]);
  const { data } = tensor(3, [3, 10]);
  const got = await session.run(["out"], dims, { x: data }, ([v], copy) => copy(v));
  const want = matmul(data, 10, 13, (n, k) => (n < 6 ? all.a.data[k * 6 + n] : all.b.data[k * 7 + n - 6]));
  want.forEach((v, i) => {
    expect(got[i]).toBeCloseTo(v, 5);
  });
});

it("addresses beyond 2 GiB are as good as others", async () => {
  const engine = await Engine.create();
  engine.reserve(0xc0000000); // never touched, so never real
  for (const seed of [1, 2, 3, 4]) {
    const graph = randomGraph(seed);
    const rows = 13;
    const x = tensor(seed, [rows, graph.cols]).data;
    const ids = Int32Array.from({ length: rows }, (_, i) => i % graph.vocab);
    const names = Object.keys(graph.outputs);
    const run = async (options: { engine?: Engine }) => {
      const session = await Session.load(graph, [checkpointOf(graph.tensors)], { ...options, ignore: /./ });
      return session.run(names, { ...dims, T: rows }, { x, ids }, (values, copy) => values.map(copy));
    };
    expect(await run({ engine })).toEqual(await run({}));
  }
  expect(engine.memory.bytes).toBeGreaterThan(0xc0000000);
});
