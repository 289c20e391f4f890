import { expect, it } from "vitest";
import { loadModel } from "../../src/host/node.ts";
import type { Folder } from "../../src/platform.ts";
import { tinyBert } from "../tiny.ts";

it("loads through a window: the peak is the model and a few megabytes", async () => {
  // 40 MB of weights, given by a reader that owns nothing but a place in them.
  const files = tinyBert({ hidden: 512, heads: 8, layers: 4, vocab: 2000 });
  const config = new TextEncoder().encode(JSON.stringify(files.config));
  const reads: number[] = [];
  const folder: Folder = {
    name: "counted",
    async open(path) {
      const bytes = path === "config.json" ? config : path === "model.safetensors" ? files.weights : undefined;
      let at = 0;
      return (
        bytes && {
          size: bytes.length,
          async read(into) {
            const part = bytes.subarray(at, at + into.length);
            into.set(part);
            at += part.length;
            reads.push(part.length);
            return part.length;
          },
          async close() {},
        }
      );
    },
  };
  const before = process.memoryUsage().arrayBuffers;
  const model = await loadModel(folder);
  const linear = model.session.engine.memory.bytes;
  expect(linear).toBeLessThan(files.weights.length + 2.5e6);
  expect(Math.max(...reads)).toBeLessThanOrEqual(1 << 18);
  expect(process.memoryUsage().arrayBuffers - before).toBeLessThan(linear + 8e6);
  console.log(`weights ${files.weights.length}, linear memory ${linear}, largest read ${Math.max(...reads)}`);
});
