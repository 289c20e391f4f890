import { expectTypeOf } from "vitest";
import type { Pipelines } from "../../src/host/node.ts";
import type { Filled } from "../../src/tasks/fillMask.ts";
import type { Answer } from "../../src/tasks/questionAnswering.ts";
import type { Classified } from "../../src/tasks/textClassification.ts";
import type { Ranked } from "../../src/tasks/textRanking.ts";
import type { Entity, LabelledToken } from "../../src/tasks/tokenClassification.ts";
import type { ZeroShotClassified } from "../../src/tasks/zeroShotClassification.ts";

/** What calls give to the compiler. Never run: types.test.ts compiles it. */
export async function types(p: Pipelines, k: number, either: string | string[]) {
  const classify = p["text-classification"];
  expectTypeOf(await classify("text")).toEqualTypeOf<Classified[]>();
  expectTypeOf(await classify("text", { top_k: 3 })).toEqualTypeOf<Classified[]>();
  expectTypeOf(await classify({ text: "a", text_pair: "b" })).toEqualTypeOf<Classified[]>();
  expectTypeOf(await classify(["text"])).toEqualTypeOf<Classified[]>();
  expectTypeOf(await classify(["text"], { function_to_apply: "none" })).toEqualTypeOf<Classified[]>();
  expectTypeOf(await classify(["text"], { top_k: 1 })).toEqualTypeOf<Classified[]>();
  expectTypeOf(await classify(["text"], { top_k: null })).toEqualTypeOf<Classified[][]>();
  expectTypeOf(await classify([{ text: "a" }], { top_k: 2 })).toEqualTypeOf<Classified[][]>();
  expectTypeOf(await classify(["text"], { top_k: k })).toEqualTypeOf<(Classified | Classified[])[]>();
  // @ts-expect-error: a number is no text
  await classify(3);

  const rank = p["text-ranking"];
  expectTypeOf(await rank("query", ["a"], { top_k: 3, return_documents: true })).toEqualTypeOf<Ranked[]>();

  expectTypeOf(await p["sentence-similarity"]("a", ["b"])).toEqualTypeOf<number[]>();

  const zero = p["zero-shot-classification"];
  expectTypeOf(await zero("text", ["a"])).toEqualTypeOf<ZeroShotClassified>();
  expectTypeOf(await zero(["text"], "a, b")).toEqualTypeOf<ZeroShotClassified[]>();
  expectTypeOf(await zero(either, "a")).toEqualTypeOf<ZeroShotClassified | ZeroShotClassified[]>();

  const label = p["token-classification"];
  expectTypeOf(await label("text")).toEqualTypeOf<LabelledToken[]>();
  expectTypeOf(await label("text", { ignore_labels: [] })).toEqualTypeOf<LabelledToken[]>();
  expectTypeOf(await label("text", { aggregation_strategy: "first" })).toEqualTypeOf<Entity[]>();
  expectTypeOf(await label(["text"], { aggregation_strategy: "max", stride: 9 })).toEqualTypeOf<Entity[][]>();
  // @ts-expect-error: no such strategy
  await label("text", { aggregation_strategy: "best" });

  const fill = p["fill-mask"];
  expectTypeOf(await fill("a [MASK]")).toEqualTypeOf<Filled[]>();
  expectTypeOf(await fill(["a [MASK]"], { top_k: 1 })).toEqualTypeOf<Filled[][]>();
  expectTypeOf(await fill<Filled[][]>("[MASK] [MASK]")).toEqualTypeOf<Filled[][]>();

  const ask = p["question-answering"];
  expectTypeOf(await ask("q", "c")).toEqualTypeOf<Answer>();
  expectTypeOf(await ask("q", "c", { max_answer_len: 3 })).toEqualTypeOf<Answer>();
  expectTypeOf(await ask("q", "c", { top_k: 2 })).toEqualTypeOf<Answer[]>();
  expectTypeOf(await ask("q", "c", { top_k: k })).toEqualTypeOf<Answer | Answer[]>();
  expectTypeOf(await ask(["q"], "c")).toEqualTypeOf<Answer[]>();
  expectTypeOf(await ask(["q"], ["c"], { top_k: 2 })).toEqualTypeOf<Answer[][]>();
}
