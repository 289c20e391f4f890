import { expect, it, vi } from "vitest";
import { AbortError, EngineError, loadModel, type Tensor } from "../../src/host/node.ts";
import { tinyBert } from "../tiny.ts";

/** Long enough that a run takes some hundred milliseconds. */
const big = () => tinyBert({ hidden: 160, heads: 4, layers: 4, positions: 512 });
const inputs = { input_ids: new Array<number[]>(6).fill(new Array<number>(400).fill(5)) };

it("a long run gives the event loop its turn, and aborts when told to", async () => {
  const model = await loadModel(big());
  await model.forward({ input_ids: [[1, 2, 3]] });
  let turns = 0;
  let longest = 0;
  let last = process.cpuUsage().user;
  const timer = setInterval(() => {
    turns++;
    longest = Math.max(longest, process.cpuUsage().user - last);
    last = process.cpuUsage().user;
  }, 1);
  const whole = (await model.forward(inputs)) as { last_hidden_state: Tensor };
  clearInterval(timer);
  expect(turns).toBeGreaterThan(3);
  console.log(`longest processor time without a turn: ${longest / 1000} ms, ${turns} turns`);

  const controller = new AbortController();
  const run = model.forward(inputs, { signal: controller.signal });
  setTimeout(() => controller.abort("enough"), 20);
  const error = await run.catch((e: unknown) => e);
  expect(error).toBeInstanceOf(AbortError);
  expect((error as AbortError).cause).toBe("enough");
  const again = (await model.forward(inputs)) as { last_hidden_state: Tensor };
  expect(
    Buffer.from(again.last_hidden_state.data.buffer).equals(Buffer.from(whole.last_hidden_state.data.buffer)),
  ).toBe(true);

  await expect(model.forward(inputs, { signal: AbortSignal.abort() })).rejects.toBeInstanceOf(AbortError);
  model.dispose();
  await expect(model.forward(inputs)).rejects.toBeInstanceOf(EngineError);
});

it("a call that waits for its turn rejects as soon as it is aborted, and takes no turn", async () => {
  const model = await loadModel(tinyBert({ hidden: 160, heads: 4, layers: 4, positions: 512 }));
  const { engine } = model.session;
  const events: string[] = [];
  const note = (event: string) => () => void events.push(event);
  const controller = new AbortController();
  const { signal } = controller;
  const first = model.forward(inputs).then(note("first"));
  const second = model.forward(inputs, { signal }).catch((error) => {
    expect(error).toBeInstanceOf(AbortError);
    expect(error.cause).toBe("enough");
    events.push("second");
  });
  setTimeout(() => controller.abort("enough"), 5);
  await Promise.all([first, second]);
  expect(events).toEqual(["second", "first"]);
  // So does one that was aborted before it was called.
  events.length = 0;
  const third = model.forward(inputs).then(note("third"));
  await expect(model.forward(inputs, { signal })).rejects.toBeInstanceOf(AbortError);
  events.push("fourth");
  await third;
  expect(events).toEqual(["fourth", "third"]);
  const run = vi.spyOn(engine, "run");
  await expect(model.forward(inputs, { signal })).rejects.toBeInstanceOf(AbortError);
  await model.forward({ input_ids: [[1, 2, 3]] });
  expect(run).toHaveBeenCalledTimes(1);
});

it("calls on one model queue and do not mix", async () => {
  const model = await loadModel(tinyBert());
  const rows = Array.from({ length: 20 }, (_, i) => Array.from({ length: 1 + (i % 7) }, (_, t) => (i * 7 + t) % 50));
  const alone: number[][] = [];
  for (const row of rows) alone.push([...((await model.forward({ input_ids: [row] })).pooler_output as Tensor).data]);
  const together = await Promise.all(rows.map((row) => model.forward({ input_ids: [row] })));
  for (const [i, r] of together.entries()) expect([...(r.pooler_output as Tensor).data]).toEqual(alone[i]);
});

it("loading aborts and reports progress over all bytes", async () => {
  const files = tinyBert({ hidden: 240, heads: 4, layers: 6 });
  const seen: number[] = [];
  const model = await loadModel(files, { progress_callback: (p) => seen.push(p.loaded / p.total) });
  expect(seen.at(-1)).toBe(1);
  expect(seen.every((x, i) => i === 0 || x >= seen[i - 1])).toBe(true);
  model.dispose();
  const controller = new AbortController();
  const loading = loadModel(files, { signal: controller.signal, progress_callback: () => controller.abort() });
  await expect(loading).rejects.toBeInstanceOf(AbortError);
});

it("making integers of weights that are in memory gives the event loop a turn after each window", async () => {
  let turns = 0;
  let timer = setImmediate(function again() {
    turns++;
    timer = setImmediate(again);
  });
  const model = await loadModel(tinyBert({ hidden: 96, heads: 4, layers: 6, vocab: 100 }), { dtype: "q4" });
  clearImmediate(timer);
  const matrices = 6 * 6 + 3; // and the tables of words and positions, and the pooler
  expect(turns).toBeGreaterThanOrEqual(matrices);
  model.dispose();
});

it("what a clock says of short runs never makes a later run long: calls of the module stay few", async () => {
  const model = await loadModel(tinyBert());
  const { engine } = model.session;
  let calls = 0;
  const call = engine.call.bind(engine);
  engine.call = (...args) => {
    calls++;
    call(...args);
  };
  const now = performance.now.bind(performance);
  try {
    for (const clock of [
      () => 0,
      now,
      () => Math.random() * 1e6,
      (
        () => (t: number) => () =>
          (t += 40)
      )()(0),
    ]) {
      performance.now = clock;
      calls = 0;
      for (let i = 0; i < 50; i++) await model.forward({ input_ids: [[1, 2, 3]] });
      // Three rows cannot be cut: at most a call for each op.
      expect(calls).toBeLessThanOrEqual(50 * 30);
    }
  } finally {
    performance.now = now;
  }
});

it("a profile gives the event loop a turn after each op", async () => {
  const model = await loadModel(tinyBert());
  let turns = 0;
  let tick = setImmediate(function again() {
    turns++;
    tick = setImmediate(again);
  });
  const steps = await model.profile({ input_ids: [new Array<number>(64).fill(1)] });
  clearImmediate(tick);
  expect(steps.length).toBeGreaterThan(10);
  expect(turns).toBeGreaterThanOrEqual(steps.length - 1);
});
