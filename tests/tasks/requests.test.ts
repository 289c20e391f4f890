import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { pipeline } from "../../src/host/node.ts";
import { nodeFolder } from "../../src/host/nodeFiles.ts";

const fixtures = fileURLToPath(new URL("../fixtures/", import.meta.url));

// Over a URL each is a request.
test.each([
  ["text-classification", "tasks/classify"],
  ["text-ranking", "tasks/rerank"],
  ["token-classification", "tasks/ner"],
  ["question-answering", "tasks/qa"],
  ["fill-mask", "tasks/mask"],
  ["zero-shot-classification", "embedders/mpnet-all"],
  ["feature-extraction", "embedders/bert-cls-dense"],
] as const)("%s asks for no file twice", async (task, name) => {
  const files = (await nodeFolder(fixtures + name))!;
  const asked: string[] = [];
  const open: typeof files.open = (path, signal) => {
    asked.push(path);
    return files.open(path, signal);
  };
  (await pipeline(task, { name, open })).dispose();
  expect(asked).toContain("config.json");
  expect(asked).toEqual([...new Set(asked)]);
});
