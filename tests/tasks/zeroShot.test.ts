import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, test } from "vitest";
import { pipeline } from "../../src/host/node.ts";
import { same } from "./same.ts";

const fixtures = fileURLToPath(new URL("../fixtures/", import.meta.url));
const embedder = fileURLToPath(new URL("../../models/default-embedder", import.meta.url));
const read = (path: string) => readFileSync(fixtures + path);
const json = (path: string) => JSON.parse(read(path).toString());

interface Case {
  labels: string[];
  texts: string | string[];
  candidate_labels: string | string[];
  options: { multi_label?: boolean; hypothesis_template?: string };
  output: unknown;
}
/** tests/oracle/zero_shot.py */
const expected = json("zero-shot.json") as {
  nli: Case[];
  embedding: Case[];
  similarity: { source_sentence: string; sentences: string[]; output: number[] };
};

const classifier = (labels: string[]) => ({
  config: { ...json("tasks/classify/config.json"), id2label: { ...labels }, label2id: undefined },
  tokenizer: json("tasks/classify/tokenizer.json"),
  tokenizer_config: json("tasks/classify/tokenizer_config.json"),
  weights: read("tasks/classify/model.safetensors"),
});

test.each(expected.nli)("entailment as transformers: $labels $candidate_labels $options", async (c) => {
  using classify = await pipeline("zero-shot-classification", classifier(c.labels));
  same(await classify(c.texts, c.candidate_labels, c.options), c.output);
});

test("a classifier without an entailment label is refused", async () => {
  const load = pipeline("zero-shot-classification", classifier(["bad", "so so", "good"]));
  await expect(load).rejects.toThrow(/label entail.* has bad, so so, good/);
});

test("embeddings of the model that ships, as it was trained", async () => {
  using classify = await pipeline("zero-shot-classification", embedder);
  for (const c of expected.embedding) same(await classify(c.texts, c.candidate_labels, c.options), c.output);
  const one = await classify("a text", "$& and $1, b");
  expect(one.labels.toSorted()).toEqual(["$& and $1", "b"]);
  expect(await classify([], ["a"])).toEqual([]);
  await expect(classify("a text", [])).rejects.toThrow("candidate_labels is empty");
  await expect(classify("a text", " , ")).rejects.toThrow("candidate_labels is empty");
  await expect(classify("a text", [1 as never])).rejects.toThrow("candidate_labels must be an array of strings");
  await expect(classify(null as never, ["a"])).rejects.toThrow("texts must be");
  await expect(classify("a text", ["a"], { hypothesis_template: "none" })).rejects.toThrow("hypothesis_template");
});

test("similarity of sentences", async () => {
  using similar = await pipeline("sentence-similarity", embedder);
  const { source_sentence, sentences, output } = expected.similarity;
  const scored = (scores: number[]) => scores.map((score) => ({ score }));
  same(scored(await similar(source_sentence, sentences)), scored(output));
  expect(await similar("a", [])).toEqual([]);
  await expect(similar(["a"] as never, ["b"])).rejects.toThrow("source_sentence must be a string");
  await expect(similar("a", "b" as never)).rejects.toThrow("sentences must be an array of strings");
});

test("a folder without modules.json is pooled by the mean, as sentence-transformers does", async () => {
  using similar = await pipeline("sentence-similarity", `${fixtures}tasks/mask`);
  using extract = await pipeline("feature-extraction", `${fixtures}tasks/mask`);
  const texts = ["the old harbour", "bread and butter"];
  const v = (await extract(texts, { pooling: "mean" })).tolist() as number[][];
  const dot = (a: number[], b: number[]) => a.reduce((sum, x, i) => sum + x * b[i], 0);
  const cosine = dot(v[0], v[1]) / Math.sqrt(dot(v[0], v[0]) * dot(v[1], v[1]));
  expect((await similar(texts[0], [texts[1]]))[0]).toBeCloseTo(cosine, 5);
});
