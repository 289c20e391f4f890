/** Calls at once, aborts, the event loop's turns, dispose. */

import { bits, equal, fails, ok } from "./assert.mjs";
import { source } from "./files.mjs";

const EMBEDDER = "models/default-embedder";
const load = (c, options) => c.wattention.loadModel(source(c, EMBEDDER), options);
/** Enough work for many turns of the event loop. */
const LONG = { input_ids: Array.from({ length: 24 }, (_, i) => Array.from({ length: 250 }, (_, t) => 200 + i + t)) };
const SHORT = { input_ids: [[101, 2054, 102]] };
const state = async (model, inputs, options) =>
  (await model.forward(inputs, { outputs: ["last_hidden_state"], ...options })).last_hidden_state;
const after = (ms) => new Promise((done) => setTimeout(done, ms));

export const running = {
  "many calls at once on one model: each its own result": async (c) => {
    const extract = await c.wattention.pipeline("feature-extraction", source(c, EMBEDDER));
    const texts = Array.from({ length: 60 }, (_, i) => `text ${i}: ${"the river bank was steep ".repeat(i % 7)}`);
    const alone = [];
    for (const text of texts) alone.push(await extract(text));
    const together = await Promise.all(texts.map((text) => extract(text)));
    for (const [i, vector] of together.entries()) bits(vector, alone[i], texts[i]);
    const batch = await extract(texts);
    for (const [i, vector] of alone.entries()) bits(batch.row(i), vector.row(0), `in a batch: ${texts[i]}`);
    extract.dispose();
  },
  "several models at once": async (c) => {
    const models = await Promise.all([load(c), load(c, { dtype: "q8" }), load(c)]);
    const [a, b, again] = await Promise.all(models.map((model) => state(model, SHORT)));
    bits(a, again, "the same model twice");
    equal(a.dims, b.dims, "dims");
    for (const model of models) model.dispose();
    bits(
      await (async () => {
        const model = await load(c);
        const found = await state(model, SHORT);
        model.dispose();
        return found;
      })(),
      a,
      "after the others are gone",
    );
  },
  "abort of a run, with its reason; the engine works on": async (c) => {
    const model = await load(c);
    const before = await state(model, SHORT);
    const controller = new AbortController();
    const run = state(model, LONG, { signal: controller.signal });
    setTimeout(() => controller.abort("enough"), 5);
    const waiting = state(model, SHORT);
    await fails(c, run, "AbortError", { cause: "enough" });
    bits(await waiting, before, "the call behind it");
    await fails(c, state(model, SHORT, { signal: AbortSignal.abort("early") }), "AbortError", { cause: "early" });
    bits(await state(model, SHORT), before, "the next call");
    model.dispose();
  },
  "abort of a call that waits: it ends first, the run before it goes on": async (c) => {
    const model = await load(c);
    const controller = new AbortController();
    const ends = [];
    const first = state(model, LONG).then(() => ends.push("run"));
    const second = state(model, SHORT, { signal: controller.signal }).catch((error) => ends.push(error.name));
    setTimeout(() => controller.abort(), 5);
    await Promise.all([first, second]);
    equal(ends, ["AbortError", "run"]);
    model.dispose();
  },
  "abort of a load, and the next load works": {
    needs: "server",
    async run(c) {
      const controller = new AbortController();
      const loaded = c.wattention.loadModel(`${c.server}/slow/${EMBEDDER}/model.safetensors`, {
        signal: controller.signal,
        progress_callback: ({ loaded, total }) => {
          if (loaded > total / 20) controller.abort("left");
        },
      });
      await fails(c, loaded, "AbortError", { cause: "left" });
      await fails(c, load(c, { signal: AbortSignal.abort() }), "AbortError");
      (await load(c)).dispose();
    },
  },
  "a long run gives the event loop its turn": async (c) => {
    const model = await load(c);
    let turns = 0;
    let ended = false;
    const run = state(model, LONG).then(() => {
      ended = true;
    });
    while (!ended) {
      await after(0);
      turns++;
    }
    await run;
    // The work is some hundred milliseconds everywhere, a turn at most 50.
    ok(turns > 2, `${turns} turns`);
    model.dispose();
  },
  "dispose: later calls fail, other models go on, twice is once": async (c) => {
    const [model, other] = await Promise.all([load(c), load(c)]);
    const before = await state(other, SHORT);
    model.dispose();
    model.dispose();
    await fails(c, state(model, SHORT), "EngineError");
    bits(await state(other, SHORT), before, "the other model");
    if (Symbol.dispose) other[Symbol.dispose]();
    else other.dispose();
    await fails(c, state(other, SHORT), "EngineError");
    const extract = await c.wattention.pipeline("feature-extraction", source(c, EMBEDDER));
    extract.dispose();
    await fails(c, extract("a"), "EngineError");
  },
  "profile: what each op cost": async (c) => {
    const model = await load(c);
    const steps = await model.profile(SHORT);
    ok(steps.length > 10 && steps.every(({ op, milliseconds }) => Number.isInteger(op) && milliseconds >= 0), "steps");
    model.dispose();
  },
};
