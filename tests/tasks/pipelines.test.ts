import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { afterAll, describe, expect, test } from "vitest";
import { type Pipelines, pipeline } from "../../src/host/node.ts";
import type { Classified } from "../../src/tasks/textClassification.ts";
import type { Entity, TokenClassificationOptions } from "../../src/tasks/tokenClassification.ts";
import { same } from "./same.ts";

/** What transformers' pipelines and sentence-transformers' CrossEncoder answer: tests/oracle/tasks.py. */
const root = fileURLToPath(new URL("../fixtures/tasks/", import.meta.url));

interface Call {
  task: string;
  inputs: never;
  options: never;
  output: never;
}
type Load = <T extends keyof Pipelines>(task: T) => Promise<Pipelines[T]>;
interface Placed {
  start: number;
  end: number;
}

/** Python's places, counted in code points, as ours, in UTF-16 units. */
function placed<T extends Placed>(found: T, text: string): T {
  const units = (points: number) => [...text].slice(0, points).join("").length;
  return { ...found, start: units(found.start), end: units(found.end) };
}

/**
 * transformers decodes the words of an entity one by one and then what came out once more. That takes the spaces from Metaspace's words and
 * breaks the letters from À to ÿ in ByteLevel's; here an entity is decoded once. So `word` is compared with the text there.
 */
function sameEntities(actual: Entity[], expected: Entity[], text: string, twice: boolean): void {
  const word = (w: string) => (twice ? undefined : w);
  same(
    actual.map((e) => ({ ...e, word: word(e.word) })),
    expected.map((e) => ({ ...e, word: word(e.word) })),
  );
  for (const [i, { word, start, end }] of twice ? actual.entries() : []) {
    const theirs = expected[i].word.replaceAll(" ", "");
    if (!theirs.includes("\ufffd")) expect(word.replaceAll(" ", "")).toBe(theirs);
    if (!word.includes("\ufffd")) expect(word.trim()).toBe(text.slice(start, end).trim());
  }
}

const CHECKS: { [task: string]: (load: Load, call: Call) => Promise<void> } = {
  "text-classification": async (load, { task, inputs, options, output }) => {
    const classify = await load(task as "text-classification");
    const { truncation, ...o } = options as { truncation?: boolean; top_k?: number };
    // transformers gives a pair without top_k alone, and lists of one for top_k 1; transformers.js does neither.
    const expected = [output].flat(o.top_k === 1 ? 2 : 1);
    same(await classify(inputs, o), expected);
  },
  "cross-encoder.rank": async (load, { inputs, options, output }) => {
    const rank = await load("text-ranking");
    const { query, documents } = inputs as { query: string; documents: string[] };
    same(await rank(query, documents, options), output);
  },
  /** The logits of pairs: through text-ranking with one label, else through text-classification. */
  "cross-encoder.predict": async (load, { inputs, options, output }) => {
    const pairs = (typeof inputs[0] === "string" ? [inputs] : inputs) as [string, string][];
    const expected = [output].flat() as (number | number[])[];
    if (typeof expected[0] === "number") {
      const rank = await load("text-ranking");
      for (const [i, [query, document]] of pairs.entries())
        same(await rank(query, [document]), [{ corpus_id: 0, score: expected[i] }]);
      return;
    }
    const classify = await load("text-classification");
    const found: Classified[][] = await classify(
      pairs.map(([text, text_pair]) => ({ text, text_pair })),
      { top_k: null, function_to_apply: "apply_softmax" in options ? "softmax" : "none" },
    );
    const order = (a: number, b: number) => b - a;
    same(
      found.map((labels) => labels.map(({ score }) => ({ score }))),
      (expected as number[][]).map((scores) => scores.toSorted(order).map((score) => ({ score }))),
    );
  },
  "token-classification": async (load, { task, inputs, options, output }) => {
    const label = await load(task as "token-classification");
    const found = await label(inputs as string | string[], options as TokenClassificationOptions<"simple">);
    const texts = [inputs].flat() as string[];
    const many = (x: unknown) => (Array.isArray(inputs) ? x : [x]) as Entity[][];
    const { aggregation_strategy: strategy = "none" } = options as { aggregation_strategy?: string };
    const twice = !["none", "simple"].includes(strategy) && !label.tokenizer.sep_token?.includes("SEP");
    for (const [i, entities] of many(output).entries()) {
      const expected = entities.map((e) => placed(e, texts[i]));
      sameEntities(many(found)[i], expected, texts[i], twice);
    }
  },
  "fill-mask": async (load, { task, inputs, options, output }) => {
    const fill = await load(task as "fill-mask");
    same(await fill(inputs as string, options), output);
  },
  "question-answering": async (load, { task, inputs, options, output }) => {
    const ask = await load(task as "question-answering");
    const list = [inputs].flat() as { question: string; context: string }[];
    const { max_question_len, ...o } = options as { max_question_len?: number };
    const several = list.length > 1;
    const found = several
      ? await ask(
          list.map((x) => x.question),
          list.map((x) => x.context),
          o,
        )
      : await ask(list[0].question, list[0].context, o);
    const expected = [output].flat().map((answer, i) => placed(answer, list[several ? i : 0].context));
    same([found].flat(), expected);
  },
};

for (const name of readdirSync(root)) {
  const folder = root + name;
  const { calls } = JSON.parse(readFileSync(`${folder}/expected.json`, "utf8")) as { calls: Call[] };
  describe(name, () => {
    const loaded = new Map<string, Promise<{ dispose(): void }>>();
    const load = ((task: keyof Pipelines) => {
      if (!loaded.has(task)) loaded.set(task, pipeline(task, folder));
      return loaded.get(task);
    }) as Load;
    afterAll(async () => {
      for (const one of loaded.values()) (await one).dispose();
    });
    test.each(calls.map((call, i) => [`${i} ${call.task} ${JSON.stringify(call.options)}`, call] as const))(
      "%s",
      (_, call) => CHECKS[call.task](load, call),
    );
  });
}
