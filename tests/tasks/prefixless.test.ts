import { readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { pipeline } from "../../src/host/node.ts";

it("fill-mask reads a checkpoint whose body has no prefix", async () => {
  const read = (file: string) => readFileSync(new URL(`../fixtures/tasks/mask/${file}`, import.meta.url));
  const [config, tokenizer] = ["config.json", "tokenizer.json"].map((file) => JSON.parse(read(file).toString()));
  const bytes = read("model.safetensors");
  const size = Number(bytes.readBigUInt64LE(0));
  const header = bytes
    .subarray(8, 8 + size)
    .toString()
    .replaceAll('"bert.', '"')
    .padEnd(size);
  const bare = Buffer.concat([bytes.subarray(0, 8), Buffer.from(header), bytes.subarray(8 + size)]);
  expect(bare.length).toBe(bytes.length);
  const given = await pipeline("fill-mask", { config, tokenizer, weights: bytes });
  const stripped = await pipeline("fill-mask", { config, tokenizer, weights: bare });
  const text = `the ${given.tokenizer.mask_token} on the mat`;
  expect(await stripped(text)).toEqual(await given(text));
});
