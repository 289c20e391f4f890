/** `wattention/worker`: the same API with the work in a Worker. `c.connect()` gives it. */

import { bits, equal, fails, ok } from "./assert.mjs";
import { source } from "./files.mjs";

const EMBEDDER = "models/default-embedder";
const TEXTS = ["a cat sleeps on the sofa", "How is memory planned?", ""];

/** A check that has a worker for its time. */
const check = (run) => ({
  needs: "connect",
  async run(c) {
    const remote = await c.connect();
    try {
      await run(c, remote);
    } finally {
      await remote.dispose();
    }
  },
});

export const offthread = {
  "worker: vectors, search and models as on this thread": check(async (c, remote) => {
    const here = await c.wattention.pipeline("feature-extraction", source(c, EMBEDDER));
    const there = await remote.pipeline("feature-extraction", source(c, EMBEDDER));
    const vectors = await there(TEXTS);
    ok(vectors instanceof c.wattention.Tensor, "a Tensor");
    bits(vectors, await here(TEXTS));
    bits((await there(TEXTS, { pooling: "none" })).row(0), (await here(TEXTS, { pooling: "none" })).row(0), "options");
    here.dispose();
    await there.dispose();
    const search = await remote.pipeline("semantic-search", source(c, EMBEDDER));
    await search.add(["The cat sat on the mat.", "Shares fell on Monday.", { id: "b", text: "How to bake bread." }]);
    const [best] = await search.search("loaf recipe", { top_k: 1 });
    equal([best.id, best.text], ["b", "How to bake bread."], "found");
    const again = await remote.pipeline("semantic-search", source(c, EMBEDDER));
    await again.load(await search.save());
    equal(await again.search("loaf recipe", { top_k: 1 }), [best], "saved and loaded");
    const model = await remote.loadModel(source(c, EMBEDDER));
    const inputs = { input_ids: [[101, 2054, 102]] };
    const { last_hidden_state, attentions } = await model.forward(inputs, {
      outputs: ["last_hidden_state", "attentions"],
    });
    equal([last_hidden_state.dims, attentions.length > 1], [[1, 3, 256], true], "outputs");
    await model.dispose();
  }),
  "worker: bytes, progress, typed errors with their data": check(async (c, remote) => {
    const seen = [];
    const there = await remote.pipeline(
      "feature-extraction",
      await c.read("dist/shipped/default-embedder.safetensors"),
      {
        progress_callback: (p) => seen.push(p),
      },
    );
    await there("a");
    equal(seen.at(-1)?.status, "done", "progress");
    await there.dispose();
    const folder = source(c, "tests/fixtures/models");
    await fails(c, remote.loadModel(folder), "MissingFileError", { file: "config.json", source: folder });
    const model = await remote.loadModel(source(c, "tests/fixtures/models/bert"));
    await fails(c, model.forward({ input_ids: [[1, -1]] }), "TokenOutOfRangeError", { position: 1, id: -1 });
    await model.forward({ input_ids: [[1, 2]] });
    await model.dispose();
    await fails(c, model.forward({ input_ids: [[1, 2]] }), "EngineError");
  }),
  "worker: abort of a run and of a load": check(async (c, remote) => {
    const model = await remote.loadModel(source(c, EMBEDDER));
    const long = { input_ids: Array.from({ length: 24 }, () => new Array(250).fill(7)) };
    const controller = new AbortController();
    const run = model.forward(long, { outputs: ["last_hidden_state"], signal: controller.signal });
    setTimeout(() => controller.abort("enough"), 10);
    await fails(c, run, "AbortError", { cause: "enough" });
    await model.forward({ input_ids: [[1, 2]] });
    await fails(c, remote.loadModel(source(c, EMBEDDER), { signal: AbortSignal.abort() }), "AbortError");
    await model.dispose();
  }),
};
