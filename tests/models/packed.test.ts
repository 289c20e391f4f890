import { readdirSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { loadModel, pack, type Tensor } from "../../src/host/node.ts";

const at = (path: string) => fileURLToPath(new URL(`../fixtures/${path}`, import.meta.url));
for (const name of readdirSync(at("models")))
  it(name, async () => {
    for (const dtype of ["f32", "q8", "q8-exact", "q4"] as const) {
      const folder = at(`models/${name}`);
      const bytes = await pack(folder, { dtype });
      const [a, b] = [await loadModel(folder, { dtype }), await loadModel(bytes)];
      const run = async (m: typeof a) =>
        (await m.forward({ input_ids: [[1, 2, 3, 4, 5]] }, { outputs: m.outputs })) as Record<
          string,
          Tensor | Tensor[]
        >;
      const [x, y] = [await run(a), await run(b)];
      expect(y).toEqual(x);
      a.dispose();
      b.dispose();
    }
  });
