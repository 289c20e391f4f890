import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { AbortError, InputError, MissingFileError, pipeline, UnsupportedOptionError } from "../../src/host/node.ts";
import type { Filled } from "../../src/tasks/fillMask.ts";

const root = fileURLToPath(new URL("../fixtures/tasks/", import.meta.url));
const json = (path: string) => JSON.parse(readFileSync(root + path, "utf8"));
const files = (name: string, config: object, more: object = {}) => ({
  config: { ...json(`${name}/config.json`), ...config },
  tokenizer: json(`${name}/tokenizer.json`),
  tokenizer_config: json(`${name}/tokenizer_config.json`),
  weights: readFileSync(`${root}${name}/model.safetensors`),
  ...more,
});
const long = "The keeper of the lighthouse counts the ships that pass before midnight. ".repeat(30);
const rejects = (promise: Promise<unknown>, error: new (...args: never[]) => Error, message: RegExp | string) =>
  expect(promise.catch((e) => [e instanceof error, e.message])).resolves.toEqual([
    true,
    typeof message === "string" ? expect.stringContaining(message) : expect.stringMatching(message),
  ]);

describe("a model without the head that a task needs", () => {
  test.each([
    ["text-classification", "mask", /…ForSequenceClassification; .*mask.* is BertForMaskedLM$/],
    ["text-ranking", "qa", /…ForSequenceClassification; .*qa.* is BertForQuestionAnswering$/],
    ["token-classification", "classify", /…ForTokenClassification; .* is BertForSequenceClassification$/],
    ["fill-mask", "classify-multi", /…ForMaskedLM; .* is RobertaForSequenceClassification$/],
    ["question-answering", "ner", /…ForQuestionAnswering; .* is BertForTokenClassification$/],
  ] as const)("%s", (task, name, message) => rejects(pipeline(task, root + name), InputError, message));

  test("a folder without files", () => rejects(pipeline("fill-mask", root), MissingFileError, /has no \w+\.json/));

  test("the model that ships", () =>
    rejects(pipeline("text-classification"), InputError, /^text-classification needs .* is ElectraModel$/));
});

test("text-classification", async () => {
  using classify = await pipeline("text-classification", `${root}classify`);
  expect(await classify([])).toEqual([]);
  expect(await classify([], { top_k: null })).toEqual([]);
  expect(await classify("")).toHaveLength(1);
  // A pair is not the two texts one after the other, and a missing second text is none.
  const [pair] = await classify({ text: "honey", text_pair: "bees" });
  expect(pair).not.toEqual((await classify("honey bees"))[0]);
  expect(await classify({ text: "honey" })).toEqual(await classify("honey"));
  for (const bad of [1, null, undefined, ["a", 2], { text: 3 }, { text: "a", text_pair: 4 }, [["a", "b"]]])
    await rejects(classify(bad as never), InputError, "must be a string");
  await rejects(classify("a", { top_k: 0 }), UnsupportedOptionError, "top_k");
  await rejects(classify("a", { function_to_apply: "exp" as never }), UnsupportedOptionError, "function_to_apply");
  // Texts in a batch have the bits that they have alone.
  const texts = ["one", long, "", "Anna Keller"];
  const alone = [];
  for (const text of texts) alone.push(...(await classify(text)));
  expect(await classify(texts)).toEqual(alone);
});

test("abort and progress reach the runs", async () => {
  using classify = await pipeline("text-classification", `${root}classify`);
  const texts = Array.from({ length: 60 }, () => long);
  const seen: number[] = [];
  await classify(texts, { progress_callback: ({ done, total }) => seen.push(done / total) });
  expect(seen.length).toBeGreaterThan(1);
  expect(seen.at(-1)).toBe(1);
  expect(seen).toEqual(seen.toSorted((a, b) => a - b));
  const controller = new AbortController();
  const stop = () => controller.abort(new Error("enough"));
  await rejects(classify(texts, { signal: controller.signal, progress_callback: stop }), AbortError, "aborted");
  expect(await classify("still here")).toHaveLength(1);
});

test("text-ranking", async () => {
  using rank = await pipeline("text-ranking", `${root}rerank`);
  expect(await rank("query", [])).toEqual([]);
  const documents = ["bread", "ships", ""];
  const all = await rank("bread", documents, { activation: "none", return_documents: true });
  expect(all.map((r) => r.score)).toEqual(all.map((r) => r.score).toSorted((a, b) => b - a));
  for (const { corpus_id, text } of all) expect(text).toBe(documents[corpus_id]);
  const sigmoid = await rank("bread", documents, { top_k: 2 });
  for (const [i, r] of sigmoid.entries()) {
    expect(r).toEqual({ corpus_id: all[i].corpus_id, score: expect.closeTo(1 / (1 + Math.exp(-all[i].score)), 12) });
  }
  await rejects(rank("q", "d" as never), InputError, "documents must be an array of strings");
  await rejects(rank("q", [null as never]), InputError, "documents must be an array of strings");
  await rejects(rank(7 as never, ["d"]), InputError, "must be a string");
  await rejects(rank("q", ["d"], { top_k: -1 }), UnsupportedOptionError, "top_k");
  await rejects(rank("q", ["d"], { activation: "tanh" as never }), UnsupportedOptionError, "activation");
});

test("text-ranking: the activation that a checkpoint asks for", async () => {
  const scoreOf = async (config: object, more?: object) => {
    using rank = await pipeline("text-ranking", files("rerank", config, more));
    return (await rank("bread", ["flour"]))[0].score;
  };
  const within = (activation_fn: string) => ({ sentence_transformers: { activation_fn, version: "4.1.0" } });
  const before = (sbert_ce_default_activation_function: string | null) => ({ sbert_ce_default_activation_function });
  const usual = await scoreOf({});
  const logit = await scoreOf(before("torch.nn.modules.linear.Identity"));
  expect(usual).toBeCloseTo(1 / (1 + Math.exp(-logit)), 12);
  expect(await scoreOf(before(null))).toBe(usual);
  expect(await scoreOf(within("torch.nn.modules.activation.Sigmoid"))).toBe(usual);
  expect(await scoreOf(within("torch.nn.Identity"))).toBe(logit);
  // sentence-transformers reads its own file first, then the newer field.
  const file = { config_sentence_transformers: { activation_fn: "torch.nn.modules.linear.Identity" } };
  expect(await scoreOf(within("torch.nn.modules.activation.Sigmoid"), file)).toBe(logit);
  for (const other of ["torch.nn.modules.activation.Tanh", "my.module.Identity", "torch.nn.Sigmoid.Identity"]) {
    await rejects(scoreOf(within(other)), UnsupportedOptionError, `activation_fn: "${other}"`);
    await rejects(scoreOf(before(other)), UnsupportedOptionError, `sbert_ce_default_activation_function: "${other}"`);
  }
  await rejects(pipeline("text-ranking", `${root}classify`), InputError, /needs a checkpoint with 1 label; .* has 3$/);
});

test("token-classification", async () => {
  using label = await pipeline("token-classification", `${root}ner`);
  expect(await label([])).toEqual([]);
  expect(await label("")).toEqual([]);
  expect(await label("", { aggregation_strategy: "max", stride: 4 })).toEqual([]);
  // Places are UTF-16 units of the text.
  const text = "😀😀 Anna Keller 🚢 Lisbon";
  for (const { word, start, end } of await label(text, { aggregation_strategy: "first", ignore_labels: [] }))
    expect(text.slice(start, end).toLowerCase()).toBe(word);
  // Without a stride the start is read alone; with one, all of it.
  const last = async (stride?: number) =>
    (await label(long, { aggregation_strategy: "simple", ignore_labels: [], stride })).at(-1)!.end;
  expect(await last()).toBeLessThan(long.length / 2);
  expect(await last(10)).toBeGreaterThan(long.length - 5);
  await rejects(label("a", { stride: 5 }), UnsupportedOptionError, 'aggregation_strategy: "none"');
  for (const stride of [-1, 1.5, Number.NaN])
    await rejects(label(long, { aggregation_strategy: "max", stride }), UnsupportedOptionError, "stride");
  await rejects(label("a b", { aggregation_strategy: "best" as never }), UnsupportedOptionError, "best");
  await rejects(label([1] as never), InputError, "array of strings");
  await rejects(label(long, { aggregation_strategy: "max", stride: 500 }), InputError, "stride 500");
});

test("token-classification: unknown tokens show the text", async () => {
  using label = await pipeline("token-classification", `${root}ner`);
  const text = "Anna \u{1F6A2}\u{1F6A2} Keller";
  const [all] = await label([text], { ignore_labels: [] });
  expect(all.map((t) => t.word)).toContain("\u{1F6A2}\u{1F6A2}");
  const entities = await label(text, { aggregation_strategy: "simple", ignore_labels: [] });
  expect(entities.map((e) => e.word).join(" ")).toContain("\u{1F6A2}\u{1F6A2}");
});

test("fill-mask", async () => {
  using fill = await pipeline("fill-mask", `${root}mask`);
  expect(await fill([])).toEqual([]);
  await rejects(fill("no mask here"), InputError, "texts[0] has no mask token ([MASK])");
  await rejects(fill(["a [MASK]", ""]), InputError, "texts[1] has no mask token");
  await rejects(fill(`${long} [MASK]`), InputError, "no mask token");
  await rejects(fill("[MASK]", { targets: [] }), InputError, "targets");
  await rejects(fill("[MASK]", { targets: [3 as never] }), InputError, "targets must be an array of strings");
  await rejects(fill(5 as never), InputError, "texts must be an array of strings");
  await rejects(fill("[MASK]", { top_k: 1.5 }), UnsupportedOptionError, "top_k");
  const one = await fill("[MASK] bread", { targets: "island", top_k: 9 });
  expect(one.map((f) => f.token_str)).toEqual(["island"]);
  // The probability is one of all tokens, and that of each mask of a text is the same in a batch.
  const every = await fill("a [MASK]", { top_k: 100_000 });
  expect(every.reduce((sum, f) => sum + f.score, 0)).toBeCloseTo(1, 5);
  const several = await fill<Filled[][]>(["[MASK] and [MASK]", "[MASK] [MASK] [MASK]"]);
  expect(several.map((masks) => masks.length)).toEqual([2, 3]);
  expect(await fill<Filled[][]>("[MASK] and [MASK]")).toEqual(several[0]);
});

test("fill-mask multiplies the vocabulary with the masks alone", async () => {
  using fill = await pipeline("fill-mask", `${root}mask`);
  const shape = { batch: 4, length: 100 };
  const scratch = (output: string) => fill.model.plan(shape, [output]).scratch;
  const vocab = fill.model.config.int("vocab_size");
  expect(scratch("logits") - scratch("mask_probabilities")).toBeGreaterThan(300 * vocab * 4);
});

test("question-answering", async () => {
  using ask = await pipeline("question-answering", `${root}qa`);
  expect(await ask([], [])).toEqual([]);
  const context = "😀 Anna Keller sailed from Zürich to Lisbon.";
  const answer = await ask("Who sailed?", context);
  expect(context.slice(answer.start, answer.end)).toBe(answer.answer);
  expect(await ask(["Who sailed?", "Where to?"], context)).toEqual([answer, await ask("Where to?", context)]);
  expect(await ask("Who?", " \n")).toEqual({ answer: "", score: 0, start: 0, end: 0 });
  expect(await ask("Who?", " \n", { top_k: 2 })).toEqual([]);
  for (const { answer, score, start, end } of await ask("Who?", long, { top_k: 50, max_answer_len: 4 })) {
    expect(long.slice(start, end)).toBe(answer);
    expect(score).toBeGreaterThan(0);
    expect(answer.split(/[\s.]+/).length).toBeLessThan(6);
  }
  await rejects(ask("", context), InputError, "question or context is empty");
  await rejects(ask("Who?", ""), InputError, "question or context is empty");
  await rejects(ask("Who?", [context, context]), InputError, "1 questions, but 2 contexts");
  await rejects(ask(null as never, context), InputError, "question must be an array of strings");
  await rejects(ask("Who?", { text: "a" } as never), InputError, "context must be an array of strings");
  await rejects(ask("Who?", context, { top_k: 0 }), UnsupportedOptionError, "top_k");
  await rejects(ask("Who?", context, { max_answer_len: -3 }), UnsupportedOptionError, "max_answer_len");
  await rejects(ask("Who?", long, { max_seq_len: 40, doc_stride: 40 }), InputError, "stride 40");
  for (const doc_stride of [-1, 0.5, Number.NaN])
    await rejects(ask("Who?", long, { doc_stride }), UnsupportedOptionError, "doc_stride");
  await rejects(ask(long, context), InputError, "only_second");
});
