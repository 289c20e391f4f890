import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { loadModel } from "../../src/host/node.ts";

const text = (n: number) => Array.from({ length: n }, (_, i) => 3 + ((i * i * 5) % 37));

// Both were trained for 12 tokens: what lies behind turns otherwise.
it.each(["llama-dynamic", "phi3-longrope"])(
  "a cache of %s gives what a plain run gives on either side of its length",
  async (name) => {
    const model = await loadModel(fileURLToPath(new URL(`../fixtures/models/${name}`, import.meta.url)));
    try {
      const options = { max_new_tokens: 6, min_new_tokens: 6, do_sample: false };
      const cache = await model.cache();
      for (const n of [5, 9, 16, 20, 7, 14, 4]) {
        const input_ids = [text(n)];
        expect(await model.generate({ input_ids }, { ...options, cache }), `${n} tokens`).toEqual(
          await model.generate({ input_ids }, options),
        );
      }
      cache.dispose();
      const both = await model.generate({ input_ids: [text(16), text(5)] }, options);
      expect(both).toEqual([
        ...(await model.generate({ input_ids: [text(16)] }, options)),
        ...(await model.generate({ input_ids: [text(5)] }, options)),
      ]);
    } finally {
      model.dispose();
    }
  },
);
