import fc from "fast-check";
import { describe, expect, it, vi } from "vitest";
import "../../src/host/node.ts";
import { Batcher, type BatchOptions, type Item, QueueFullError } from "../../src/server/batcher.ts";

interface Text extends Item {
  readonly value: number;
}

const text = (value: number, cost = 1): Text => ({ value, cost, key: `${value}` });
const turn = () => new Promise((resolve) => setTimeout(resolve));

/** A batcher over f(x) = 2x that notes its batches; it waits in `gate` where there is one, and throws where it is told to. */
function doubling(options: BatchOptions & { queue?: number } = {}, gate?: () => Promise<unknown>, bad = -1) {
  const batches: number[][] = [];
  const signals: AbortSignal[] = [];
  const batcher = new Batcher<Text, number>(
    async (items, signal) => {
      batches.push(items.map(({ value }) => value));
      signals.push(signal);
      await gate?.();
      if (items.some(({ value }) => value === bad)) throw new Error(`bad ${bad}`);
      return items.map(({ value }) => 2 * value);
    },
    { queue: 1000, ...options },
  );
  return { batcher, batches, signals };
}

/** Waits until so many batches run. */
const begun = (batches: number[][], n = 1) => vi.waitFor(() => expect(batches).toHaveLength(n), { interval: 1 });

/** A gate that stays shut until it is opened. */
function shut() {
  let open = () => {};
  const opened = new Promise<void>((resolve) => {
    open = resolve;
  });
  return { gate: () => opened, open };
}

describe("batching", () => {
  it("gathers what came while a batch ran, and keeps each request's results apart", async () => {
    const { gate, open } = shut();
    const { batcher, batches } = doubling({}, gate);
    const first = batcher.submit([text(1)]);
    await begun(batches);
    const others = [2, 3, 4].map((n) => batcher.submit([text(n), text(10 * n)]));
    expect(batcher.waiting).toBe(6);
    open();
    expect(await first).toEqual([2]);
    expect(await Promise.all(others)).toEqual([
      [4, 40],
      [6, 60],
      [8, 80],
    ]);
    expect(batches).toEqual([[1], [2, 3, 4, 20, 30, 40]]);
    expect(batcher.waiting).toBe(0);
  });

  it("takes turns: a long request does not hold up a short one", async () => {
    const { gate, open } = shut();
    const { batcher, batches } = doubling({ texts: 4 }, gate);
    const begin = batcher.submit([text(0)]);
    await begun(batches);
    const long = batcher.submit(Array.from({ length: 20 }, (_, i) => text(100 + i)));
    const short = batcher.submit([text(1)]);
    open();
    await Promise.all([begin, long, short]);
    expect(batches[1]).toContain(1);
    expect(await long).toEqual(Array.from({ length: 20 }, (_, i) => 200 + 2 * i));
  });

  it("bounds a batch by tokens; a text that is longer goes alone", async () => {
    const { batcher, batches } = doubling({ tokens: 10 });
    await batcher.submit([text(1, 6), text(2, 4), text(3, 25), text(4, 5), text(5, 6)]);
    expect(batches).toEqual([[1, 2], [3], [4], [5]]);
  });

  it("runs a text once that stands in a batch twice", async () => {
    const { batcher, batches } = doubling();
    expect(await Promise.all([batcher.submit([text(1), text(2), text(1)]), batcher.submit([text(2)])])).toEqual([
      [2, 4, 2],
      [4],
    ]);
    expect(batches).toEqual([[1, 2]]);
  });

  it("lets only the request fail whose text is bad", async () => {
    const { batcher } = doubling({}, undefined, 3);
    const all = await Promise.allSettled([1, 2, 3, 4].map((n) => batcher.submit([text(n), text(n + 10)])));
    expect(all.map((r) => (r.status === "fulfilled" ? r.value : r.reason.message))).toEqual([
      [2, 22],
      [4, 24],
      "bad 3",
      [8, 28],
    ]);
    expect(batcher.waiting).toBe(0);
  });

  it("drops the texts of a request that is given up, and ends a batch that nobody waits for", async () => {
    const { gate, open } = shut();
    const { batcher, batches, signals } = doubling({}, gate);
    const control = [new AbortController(), new AbortController()];
    const running = batcher.submit([text(1)], control[0].signal);
    await begun(batches);
    const waiting = batcher.submit([text(2), text(3)], control[1].signal);
    const other = batcher.submit([text(4)]);
    control[1].abort();
    await expect(waiting).rejects.toMatchObject({ name: "AbortError" });
    expect(batcher.waiting).toBe(1);
    expect(signals[0].aborted).toBe(false);
    control[0].abort();
    await expect(running).rejects.toMatchObject({ name: "AbortError" });
    expect(signals[0].aborted).toBe(true);
    open();
    expect(await other).toEqual([8]);
    expect(batches).toEqual([[1], [4]]);
    await expect(batcher.submit([text(5)], AbortSignal.abort())).rejects.toMatchObject({ name: "AbortError" });
  });

  it("goes on when the request that ran the batches goes away and never comes back", async () => {
    const { batcher, batches } = doubling({}, () => (batches.length === 1 ? new Promise(() => {}) : Promise.resolve()));
    const control = new AbortController();
    const leader = batcher.submit([text(1)], control.signal);
    await begun(batches);
    const other = batcher.submit([text(2)]);
    control.abort();
    await expect(leader).rejects.toMatchObject({ name: "AbortError" });
    expect(await other).toEqual([4]);
    expect(await batcher.submit([text(3)])).toEqual([6]);
  });

  it("refuses what its queue has no room for, and says when to come again", async () => {
    const { gate, open } = shut();
    const { batcher, batches } = doubling({ queue: 3 }, gate);
    const begin = batcher.submit([text(0)]);
    await begun(batches);
    const long = batcher.submit([text(1), text(2), text(3), text(4)]); // nothing waits: it is taken, or it never would be
    const error = await batcher.submit([text(5)]).catch((e) => e);
    expect(error).toBeInstanceOf(QueueFullError);
    expect(error).toMatchObject({ waiting: 4, retry_after: expect.any(Number) });
    open();
    expect(await Promise.all([begin, long])).toEqual([[0], [2, 4, 6, 8]]);
    expect(await batcher.submit([text(5)])).toEqual([10]);
  });

  it("runs as many batches at once as there are engines", async () => {
    const { gate, open } = shut();
    const { batcher, batches } = doubling({ texts: 1, lanes: 2 }, gate);
    const all = [1, 2, 3].map((n) => batcher.submit([text(n)]));
    await begun(batches, 2);
    expect(batches).toEqual([[1], [2]]);
    open();
    expect(await Promise.all(all)).toEqual([[2], [4], [6]]);
  });

  it("gives a single request all engines", async () => {
    const { gate, open } = shut();
    const { batcher, batches } = doubling({ texts: 2, lanes: 2 }, gate);
    const all = batcher.submit([1, 2, 3, 4, 5].map((n) => text(n)));
    await begun(batches, 2);
    expect(batches).toEqual([
      [1, 2],
      [3, 4],
    ]);
    open();
    expect(await all).toEqual([2, 4, 6, 8, 10]);
  });

  it("never mixes, whatever comes, fails and leaves", async () => {
    const request = fc.record({
      texts: fc.array(fc.tuple(fc.integer({ min: 0, max: 30 }), fc.integer({ min: 1, max: 9 })), { maxLength: 6 }),
      delay: fc.integer({ min: 0, max: 3 }),
      abort: fc.option(fc.integer({ min: 0, max: 4 }), { freq: 4 }),
    });
    const options = fc.record({
      tokens: fc.integer({ min: 1, max: 40 }),
      texts: fc.integer({ min: 1, max: 12 }),
      window: fc.integer({ min: 0, max: 1 }),
      lanes: fc.integer({ min: 1, max: 3 }),
    });
    await fc.assert(
      fc.asyncProperty(fc.array(request, { minLength: 1, maxLength: 12 }), options, async (requests, o) => {
        const { batcher } = doubling(o, turn, 13);
        await Promise.all(
          requests.map(async ({ texts, delay, abort }) => {
            for (let i = 0; i < delay; i++) await turn();
            const control = new AbortController();
            const items = texts.map(([value, cost]) => text(value, cost));
            const result = batcher.submit(items, control.signal).then(
              (r) => [...r],
              (e: Error) => e.message,
            );
            for (let i = 0; i < (abort ?? 0); i++) await turn();
            if (abort !== null) control.abort();
            const given = await result;
            const bad = texts.some(([value]) => value === 13);
            if (given === "bad 13") expect(bad).toBe(true);
            else if (typeof given === "string") expect(abort).not.toBe(null);
            else expect(given).toEqual(texts.map(([value]) => 2 * value));
          }),
        );
        expect(batcher.waiting).toBe(0);
      }),
      { numRuns: 60 },
    );
  });
});
