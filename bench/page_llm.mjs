/** What decoders.mjs runs in a page: wattention on its main thread, wllama in its worker, one thread each, in turn. */
import { Wllama } from "@wllama/wllama";
import { loadModel } from "#wattention";

const models = {};

globalThis.load = async ({ source, options, gguf, context }) => {
  models.ours = await loadModel(new URL(source, location.href).href, options);
  const peer = new Wllama({ default: new URL("/wllama.wasm", location.href).href }, { suppressNativeLog: true });
  const blob = await (await fetch(gguf)).blob();
  await peer.loadModel([blob], { n_threads: 1, n_gpu_layers: 0, n_ctx: context, n_batch: 512, n_parallel: 1, seed: 1 });
  models.peer = peer;
  return {
    multithread: peer.isMultithread(),
    version: Wllama.getLibllamaVersion(),
    build: models.ours.session.engine.build,
  };
};

/** Milliseconds of the prompt and of each token behind it, and the tokens. */
const runs = {
  async ours(ids, made) {
    const options = { do_sample: false, eos_token_id: [] };
    const start = performance.now();
    await models.ours.generate({ input_ids: [ids] }, { ...options, max_new_tokens: 1, min_new_tokens: 1 });
    const prefill = performance.now() - start;
    const all = await models.ours.generate(
      { input_ids: [ids] },
      { ...options, max_new_tokens: made, min_new_tokens: made },
    );
    const whole = performance.now() - start - prefill;
    return { prefill, decode: (whole - prefill) / (made - 1), tokens: all[0].length - ids.length };
  },
  /** As llama.cpp's own server times it, which leaves out the way to the worker and back. */
  async peer(ids, made) {
    const { timings } = await models.peer.createCompletion({
      prompt: ids.map((id) => `<t${id}>`).join(""),
      max_tokens: made,
      temperature: 0,
      cache_prompt: false,
      ignore_eos: true,
    });
    const { prompt_n, prompt_ms, predicted_n, predicted_ms } = timings;
    if (prompt_n !== ids.length) throw new Error(`wllama's prompt has ${prompt_n} tokens, not ${ids.length}`);
    // The first token comes of the prompt.
    return { prefill: prompt_ms, decode: predicted_ms / Math.max(1, predicted_n - 1), tokens: predicted_n };
  },
};

globalThis.measure = async (ids, made, rounds) => {
  const samples = { ours: [], peer: [] };
  // llama.cpp is large, and what V8 compiles first is slow: three rounds to warm.
  for (let round = -3; round < rounds; round++)
    for (const name of Object.keys(samples)) {
      const one = await runs[name](ids, round < 0 ? Math.min(made, 32) : made);
      if (round >= 0) samples[name].push(one);
    }
  return samples;
};
