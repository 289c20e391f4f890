/** The library in a real worker, used as if it were here. What it gives is held against the library itself. */

import { readFileSync } from "node:fs";
import { Worker } from "node:worker_threads";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import * as here from "../../src/host/node.ts";
import {
  AbortError,
  connect,
  EngineError,
  expose,
  InputError,
  type Library,
  ShapeError,
  Tensor,
  WorkerError,
} from "../../src/worker/index.ts";
import { tinyBert } from "../tiny.ts";

interface Own extends Library {
  crash(): void;
  hang(): Promise<void>;
  fails(): void;
  counts: { tensor: Tensor };
  nested(): { list: Tensor[]; text: string };
  echo<T>(value: T): T;
}
const start = () => {
  const worker = new Worker(new URL("./library.mjs", import.meta.url));
  return { worker, library: connect<Own>(worker) };
};
const model = new URL("../../dist/shipped/default-embedder.safetensors", import.meta.url);
const texts = ["a cat sleeps on the sofa", "How is memory planned?", ""];

let library: ReturnType<typeof start>["library"];
beforeAll(() => {
  ({ library } = start());
});
afterAll(() => library.dispose());

describe("a library in a worker", () => {
  it("lends a cache from call to call", async () => {
    const source = new URL("../fixtures/models/llama", import.meta.url);
    const model = await library.loadModel(source);
    const own = await here.loadModel(source);
    const options = { max_new_tokens: 7, eos_token_id: [] };
    const cache = await model.cache({ length: 20 });
    const [ids] = await model.generate({ input_ids: [[5, 6, 7]] }, { ...options, cache: cache as never });
    expect([ids]).toEqual(await own.generate({ input_ids: [[5, 6, 7]] }, options));
    expect(await cache.ids).toEqual(ids.slice(0, -1));
    const again = await model.loadCache(await cache.save());
    expect(await model.generate({ input_ids: [ids] }, { ...options, cache: again as never })).toEqual(
      await own.generate({ input_ids: [ids] }, options),
    );
    await cache.dispose();
    const late = model.generate({ input_ids: [ids] }, { ...options, cache: cache as never });
    await expect(late).rejects.toThrow(EngineError);
    await model.dispose();
    own.dispose();
  });

  it("gives what the library itself gives, as values of the same classes", async () => {
    const extract = await library.pipeline("feature-extraction", model);
    const own = await here.pipeline("feature-extraction", model);
    const vectors = await extract(texts);
    expect(vectors).toBeInstanceOf(Tensor);
    expect(vectors).toEqual(await own(texts));
    expect(vectors.tolist()).toEqual((await own(texts)).tolist());
    expect(await extract.pools).toBe(own.pools);
    expect(await extract.tokenizer.encode("a cat")).toEqual(own.tokenizer.encode("a cat"));
    expect(await extract.tokenizer.mask_token_id).toBe(own.tokenizer.mask_token_id);
    const tokenizer = await extract.tokenizer;
    expect(await tokenizer.decode([5, 6, 7])).toBe(own.tokenizer.decode([5, 6, 7]));
    const input = { input_ids: [[2, 5, 6, 3]] };
    const want = { outputs: ["last_hidden_state", "attentions"] };
    expect(await extract.model.forward(input, want)).toEqual(await own.model.forward(input, want));
    expect(await extract.model.outputs).toEqual(own.model.outputs);
    expect(await extract.model.plan({ length: 20 })).toEqual(own.model.plan({ length: 20 }));
    await extract.dispose();
    own.dispose();
  });

  it("searches, saves and loads there", async () => {
    const search = await library.pipeline("semantic-search", model);
    await search.add(["a cat", "a tax form", { id: "x", text: "rain and snow" }]);
    expect(await search.size).toBe(3);
    expect((await search.search("weather", { top_k: 1 }))[0].id).toBe("x");
    const saved = await search.save();
    const again = await library.pipeline("semantic-search", model);
    await again.load(saved);
    expect(saved.byteLength).toBeGreaterThan(0); // arguments are copied, not taken
    expect(await again.search(["weather", "kitten"], { top_k: 1 })).toEqual(
      await search.search(["weather", "kitten"], { top_k: 1 }),
    );
    await Promise.all([search.dispose(), again.dispose()]);
  });

  it("makes objects of its classes, by new and by functions that give several", async () => {
    const layer = await new library.MultiheadAttention(16, 4, { seed: 3 });
    const own = new here.MultiheadAttention(16, 4, { seed: 3 });
    const x = new Tensor(
      Float32Array.from({ length: 48 }, (_, i) => i / 48),
      [1, 3, 16],
    );
    expect(await layer.forward(x, x, x)).toEqual(await own.forward(x, x, x));
    expect(x.data).toHaveLength(48);
    expect(await layer.weights).toEqual(own.weights);
    expect(await layer.weights).toEqual(own.weights); // the layer has kept its own
    const index = await library.VectorIndex.create(2);
    await index.add(["a", "b"], { data: [1, 0, 0, 1], dims: [2, 2] });
    const { index: loaded, metadata } = await library.VectorIndex.load(await index.save({ note: "n" }));
    expect(metadata).toMatchObject({ note: "n" });
    expect(await loaded.search({ data: [0, 2], dims: [2] }, { top_k: 1 })).toEqual([[{ id: "b", score: 2 }]]);
    expect(await index.get("a")).toEqual(Float32Array.of(1, 0));
    expect(await index.get("a")).toEqual(Float32Array.of(1, 0));
  });

  it("moves tensors that lie deep in a result, and copies those that an object holds", async () => {
    const { list, text } = await library.nested();
    expect(list[0]).toBeInstanceOf(Tensor);
    expect(text).toBe("yes");
    for (let i = 0; i < 2; i++) expect((await library.counts.tensor).data).toEqual(Float32Array.of(1, 2));
  });

  it("copies of a buffer only what a view shows", async () => {
    const bytes = new Uint8Array(1000).fill(7).subarray(10, 14);
    const back = await library.echo(bytes);
    expect(back).toEqual(bytes);
    expect(back.buffer.byteLength).toBe(4);
  });

  it("throws the errors that are thrown there, with their data", async () => {
    const error = await library.fails().then(null, (e: unknown) => e);
    expect(error).toBeInstanceOf(ShapeError);
    expect(error).toMatchObject({ name: "ShapeError", tensor: "x", expected: [1, null], actual: [2] });
    expect((error as Error).stack).toContain("library.mjs");
    const unknown = { ...tinyBert(), config: { model_type: "nope" } };
    const refused = await library.loadModel(unknown).catch((e) => e);
    expect(refused).toBeInstanceOf(here.UnsupportedModelError);
    expect(refused).toMatchObject({ model_type: "nope", supported: expect.arrayContaining(["bert"]) });
    await expect((library as never as { nothing(): Promise<void> }).nothing()).rejects.toBeInstanceOf(InputError);
    const missing = await library.pipeline("feature-extraction", "/no/such/folder").catch((e) => e);
    expect(missing).toBeInstanceOf(here.WattentionError);
  });

  it("tells progress before the result comes", async () => {
    const loads: here.Progress[] = [];
    const extract = await library.pipeline("feature-extraction", model, { progress_callback: (p) => loads.push(p) });
    expect(loads.at(-1)).toMatchObject({ status: "done", loaded: loads.at(-1)!.total });
    const parts: unknown[] = [];
    await extract(texts, { progress_callback: (p) => parts.push(p) });
    expect(parts.at(-1)).toEqual({ done: 3, total: 3 });
    const thrown = extract(texts, {
      progress_callback: () => {
        throw new RangeError("stop");
      },
    });
    await expect(thrown).rejects.toThrow("stop");
    await extract.dispose();
  });

  it("streams token by token; leaving the loop, or an abort, ends the stream there", async () => {
    const decoder = new URL("../fixtures/models/llama", import.meta.url).pathname;
    const [there, own] = [await library.loadModel(decoder), await here.loadModel(decoder)];
    const inputs = { input_ids: [5, 8, 30, 17] };
    const options = { max_new_tokens: 9, eos_token_id: null };
    const want = [];
    for await (const token of own.stream(inputs, options)) want.push(token);
    const got = [];
    for await (const token of there.stream(inputs, options)) got.push(token);
    expect(got).toEqual(want);
    const controller = new AbortController();
    const few = async (stop: () => boolean) => {
      const seen = [];
      for await (const token of there.stream(inputs, { ...options, signal: controller.signal })) {
        seen.push(token);
        if (seen.length === 3 && stop()) break;
      }
      return seen;
    };
    expect(await few(() => true)).toEqual(want.slice(0, 3));
    const late = few(() => {
      controller.abort();
      return false;
    });
    await expect(late).rejects.toBeInstanceOf(AbortError);
    expect(await there.generate(inputs, options)).toEqual(await own.generate(inputs, options));
    await there.dispose();
    own.dispose();
  });

  it("aborts what is under way, what waits, and what was aborted before", async () => {
    const extract = await library.pipeline("feature-extraction", model);
    const many = Array.from({ length: 3000 }, (_, i) => `${texts[i % 2]} ${i}`);
    const controller = new AbortController();
    const running = extract(many, {
      signal: controller.signal,
      progress_callback: () => controller.abort(new RangeError("enough")),
    });
    const waiting = extract(many, { signal: controller.signal });
    const error = await running.catch((e) => e);
    expect(error).toBeInstanceOf(AbortError);
    expect(error.cause).toMatchObject({ name: "RangeError", message: "enough" });
    await expect(waiting).rejects.toBeInstanceOf(AbortError);
    await expect(extract(texts, { signal: AbortSignal.abort() })).rejects.toBeInstanceOf(AbortError);
    await expect(library.loadModel(model, { signal: AbortSignal.abort() })).rejects.toBeInstanceOf(AbortError);
    expect((await extract(texts)).dims[0]).toBe(3);
    await extract.dispose();
  });

  it("disposes once, and says so to whoever calls later", async () => {
    const extract = await library.pipeline("feature-extraction", model);
    await Promise.all([extract.dispose(), extract.dispose()]);
    await extract.dispose();
    await expect(extract(texts)).rejects.toBeInstanceOf(EngineError);
    let kept: typeof extract;
    {
      using scoped = await library.pipeline("feature-extraction", model);
      kept = scoped;
    }
    await expect(kept(texts)).rejects.toBeInstanceOf(EngineError);
    {
      await using scoped = await library.pipeline("feature-extraction", model);
      kept = scoped;
    }
    await expect(kept.tokenizer.encode("x")).rejects.toBeInstanceOf(EngineError);
  });

  it("takes the module as the page has it: compiled, a response, a promise", async () => {
    const bytes = readFileSync(new URL("../../dist/wasm/simd.wasm", import.meta.url));
    const headers = { "content-type": "application/wasm" };
    const forms = [
      new WebAssembly.Module(bytes),
      new Response(bytes, { headers }),
      Promise.resolve(new Response(bytes)),
    ];
    for (const wasm of forms) {
      const extract = await library.pipeline("feature-extraction", model, { wasm, deterministic: true });
      expect((await extract("x")).dims[0]).toBe(1);
      await extract.dispose();
    }
    await expect(library.loadModel(model, { wasm: new Response("", { status: 404 }) })).rejects.toMatchObject({
      name: "FetchError",
      status: 404,
    });
  });

  it("refuses what no message carries, by name", async () => {
    await expect(library.loadModel(model, { fetch })).rejects.toThrow(/fetch cannot go to a worker/);
    await expect(library.loadModel(model, { fetch })).rejects.toBeInstanceOf(InputError);
    await expect(library.echo(Symbol("x") as never)).rejects.toBeInstanceOf(InputError);
  });
});

describe("a worker that ends", () => {
  it("by an error of its own: whoever waits, and whoever asks later, gets a WorkerError", async () => {
    const { library } = start();
    const extract = await library.pipeline("feature-extraction", model);
    const waits = library.hang();
    library.crash().catch(() => {});
    await expect(waits).rejects.toMatchObject({ name: "WorkerError", message: expect.stringContaining("out of luck") });
    await expect(extract(texts)).rejects.toBeInstanceOf(WorkerError);
    await extract.dispose();
  });
  it("while something of it is disposed of, which then is gone too", async () => {
    const { worker, library } = start();
    const extract = await library.pipeline("feature-extraction", model);
    const disposed = extract.dispose();
    worker.terminate();
    await disposed;
  });
  it("by terminate", async () => {
    const { worker, library } = start();
    const waits = library.hang();
    worker.terminate();
    await expect(waits).rejects.toThrow("terminated");
  });
  it("by dispose of the connection, however often", async () => {
    const { library } = start();
    const waits = library.hang();
    const ended = Promise.all([library.dispose(), library.dispose()]);
    await expect(waits).rejects.toBeInstanceOf(WorkerError);
    await ended;
    await expect(library.hang()).rejects.toBeInstanceOf(WorkerError);
  });
  it("before it began", async () => {
    const library = connect(new Worker(new URL("./none.mjs", import.meta.url)));
    await expect(library.loadModel(model)).rejects.toBeInstanceOf(WorkerError);
  });
});

it("works over a MessageChannel, whose port tells of its end", async () => {
  const { port1, port2 } = new MessageChannel();
  expose({ twice: (x: number) => 2 * x, hang: () => new Promise(() => {}) }, port1 as never);
  const library = connect<{ twice(x: number): number; hang(): Promise<void> }>(port2 as never);
  expect(await library.twice(4)).toBe(8);
  const waits = library.hang();
  port1.close();
  await expect(waits).rejects.toBeInstanceOf(WorkerError);
});

it("expose says where it belongs", () => {
  expect(() => expose({})).toThrow("parentPort");
});

it("lets go of objects in the worker that nobody here refers to", async () => {
  const { port1, port2 } = new MessageChannel();
  class Thing {
    name() {
      return "thing";
    }
  }
  const made: WeakRef<Thing>[] = [];
  const make = () => {
    const thing = new Thing();
    made.push(new WeakRef(thing));
    return thing;
  };
  expose({ make }, port1 as never);
  const library = connect<{ make(): Thing }>(port2 as never);
  for (let i = 0; i < 20; i++) expect(await (await library.make()).name()).toBe("thing");
  const { setFlagsFromString } = await import("node:v8");
  setFlagsFromString("--expose-gc");
  const gc = (await import("node:vm")).runInNewContext("gc") as () => void;
  await vi.waitFor(
    () => {
      gc();
      expect(made.filter((ref) => ref.deref()).length).toBeLessThan(5);
    },
    { timeout: 20_000, interval: 50 },
  );
  port1.close();
});
