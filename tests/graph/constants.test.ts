import { expect, it } from "vitest";
import { checkpointOf } from "../../src/format/tensors.ts";
import { Graph, type Value } from "../../src/graph/graph.ts";
import { Session } from "../../src/runtime/session.ts";
import { Tensor } from "../../src/tensor.ts";
import { random } from "./random.ts";
import "../../src/host/node.ts";

const dims = { T: 3, B: 1, P: 0, S: 0, R: 0 };

function tensors(shapes: Record<string, number[]>) {
  const next = random(1);
  const make = (n: number) => Float32Array.from({ length: n }, () => next() - 0.5);
  return Object.fromEntries(
    Object.entries(shapes).map(([name, d]) => [name, new Tensor(make(d.reduce((a, b) => a * b)), d)]),
  );
}
const graphOf = (all: Record<string, Tensor>) =>
  new Graph(new Map(Object.entries(all).map(([name, { dims }]) => [name, { shape: dims }])));

it("what depends on weights alone is computed once and stays, also where it depends on such itself", async () => {
  const all = tensors({ table: [6, 5], weight: [7, 5], other: [7, 7] });
  const g = graphOf(all);
  const x = g.input("x", "T", "f32", 7);
  const first = g.linear(g.weight("table", [6, 5]), g.weight("weight", [7, 5])); // [6, 7]
  const second = g.linear(first, g.weight("other", [7, 7]));
  const picked = g.embed(g.input("ids", "T"), first);
  const out = g.add(g.add(picked, x), g.embed(g.input("ids", "T"), second));
  const session = await Session.load({ nodes: g.nodes, outputs: { out } }, [checkpointOf(all)]);
  const matmul = (a: number[][], w: Tensor) =>
    a.map((row) =>
      Array.from({ length: w.dims[0] }, (_, n) =>
        row.reduce((s, v, k) => s + v * (w.data[n * w.dims[1] + k] as number), 0),
      ),
    );
  const rows = Array.from({ length: 6 }, (_, r) => [...all.table.data.slice(r * 5, r * 5 + 5)] as number[]);
  const [a, b] = [matmul(rows, all.weight), matmul(matmul(rows, all.weight), all.other)];
  for (const ids of [
    [5, 0, 3],
    [1, 1, 2],
  ]) {
    const x = Float32Array.from({ length: 21 }, (_, i) => i / 7);
    const got = await session.run(["out"], dims, { x, ids: Int32Array.from(ids) }, ([v], copy) => copy(v));
    ids.forEach((id, t) => {
      for (let c = 0; c < 7; c++) expect(got[t * 7 + c]).toBeCloseTo(a[id][c] + b[id][c] + x[t * 7 + c], 5);
    });
  }
  // Neither weights of the prologue alone nor what it left are computed again: a run gathers and adds.
  expect(
    session.layout
      .program(["out"])
      .inputs.map((v) => v.name)
      .sort(),
  ).toEqual(["ids", "x"]);
  session.dispose();
});

it("layers that share their weights share the stack that these become", async () => {
  const names = ["q", "k", "v"];
  const all = tensors(
    Object.fromEntries(
      names.flatMap((n) => [
        [`${n}.weight`, [16, 16]],
        [`${n}.bias`, [16]],
      ]),
    ),
  );
  const bytes = (layers: number) => {
    const g = graphOf(all);
    let x = g.add(g.input("x", "T", "f32", 16), g.input("x", "T", "f32", 16));
    for (let i = 0; i < layers; i++) {
      const [q, k, v] = names.map((n) => g.linear(x, g.weight(`${n}.weight`, [16, 16]), g.weight(`${n}.bias`, [16])));
      x = g.add(g.mul(q, k), v);
    }
    return Session.load({ nodes: g.nodes, outputs: { x } }, [checkpointOf(all)]).then(
      (s) => s.layout.plan(["x"], dims).weights,
    );
  };
  expect(await bytes(5)).toBe(await bytes(1));
});

it("a weight that is part of a stack and also used by itself lies once, and serves both", async () => {
  for (const size of [16, 12]) {
    const names = ["q", "k", "v"];
    const all = tensors(
      Object.fromEntries([
        ["table", [5, 16]],
        ...names.flatMap((n) => [
          [`${n}.weight`, [size, 16]],
          [`${n}.bias`, [size]],
        ]),
      ]),
    );
    const g = graphOf(all);
    const project = (x: Value, n: string) =>
      g.linear(x, g.weight(`${n}.weight`, [size, 16]), g.weight(`${n}.bias`, [size]));
    const x = g.add(g.input("x", "T", "f32", 16), g.input("x", "T", "f32", 16));
    const [q, k, v] = names.map((n) => project(x, n));
    const rows = project(g.weight("table", [5, 16]), "k");
    const out = g.add(g.add(g.mul(q, k), v), g.embed(g.input("ids", "T"), rows));
    const session = await Session.load({ nodes: g.nodes, outputs: { out } }, [checkpointOf(all)]);
    const input = Float32Array.from({ length: 48 }, (_, i) => Math.sin(i));
    const got = await session.run(["out"], dims, { x: input, ids: Int32Array.of(4, 0, 2) }, ([v], copy) => copy(v));
    const dot = (n: string, row: ArrayLike<number>, c: number) =>
      Array.from(row).reduce((s, x, i) => s + x * (all[`${n}.weight`].data[c * 16 + i] as number), 0) +
      (all[`${n}.bias`].data[c] as number);
    [4, 0, 2].forEach((id, t) => {
      const x = input.slice(t * 16, t * 16 + 16).map((v) => 2 * v);
      const row = all.table.data.slice(id * 16, id * 16 + 16) as Float32Array;
      for (let c = 0; c < size; c++)
        expect(got[t * size + c]).toBeCloseTo(dot("q", x, c) * dot("k", x, c) + dot("v", x, c) + dot("k", row, c), 4);
    });
    const alone = session.layout.weights.at(g.weight("k.weight", [size, 16]))!;
    const bytes = 2 * size * 16 * 4; // v takes the sum as its residual, q and k are stacked
    expect(alone - session.layout.weights.from < bytes).toBe(size === 16);
    session.dispose();
  }
});

it("a constant table lies in whole vectors, whatever its width", async () => {
  for (const cols of [2, 5, 8, 12, 20]) {
    const g = new Graph(new Map());
    const data = Float32Array.from({ length: 4 * cols }, (_, i) => i + 1);
    const out = g.embed(g.input("ids", "T"), g.constant(data, 4));
    const session = await Session.load({ nodes: g.nodes, outputs: { out } }, []);
    const got = await session.run(["out"], dims, { ids: Int32Array.of(3, 0, 2) }, ([v], copy) => copy(v));
    expect([...got]).toEqual([3, 0, 2].flatMap((row) => [...data.subarray(row * cols, (row + 1) * cols)]));
    session.dispose();
  }
});
