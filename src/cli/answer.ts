import { InputError, pipeline } from "../host/node.ts";
import type { Answer } from "../tasks/questionAnswering.ts";
import {
  bold,
  type CommonOptions,
  calling,
  command,
  dim,
  excerpt,
  loading,
  readText,
  standardInput,
  whole,
  writeJson,
  writeLine,
} from "./io.ts";
import { needs } from "./rerank.ts";

interface Options extends CommonOptions {
  file?: string[];
  topK: number;
}

interface Placed extends Answer {
  /** Undefined where the context was an argument. */
  file?: string;
  line?: number;
  context: string;
}

export const answer = command("answer", "Find the answer to a question in texts, with a question-answering model.", [
  'answer "where do cats sleep?" "Cats sleep on the sofa." --model ./roberta-base-squad2',
  'answer "where do cats sleep?" --file cats.txt dogs.md --top-k 3 --model ./roberta-base-squad2',
])
  .argument("<question>")
  .argument("[contexts...]", "texts; without them: --file, or standard input as one text")
  .option("-f, --file <path...>", "texts, each file one; - is standard input")
  .option("-k, --top-k <n>", "how many answers", whole(1), 1)
  .action(async (question: string, args: string[], o: Options) => {
    const contexts: { text: string; file?: string }[] = args.map((text) => ({ text }));
    for (const file of o.file ?? (args.length ? [] : [standardInput("context")]))
      contexts.push({ text: await readText(file), file });
    const full = contexts.filter(({ text }) => text.trim());
    if (!full.length) throw new InputError("no text to look for an answer in");
    const ask = await needs(o.model, "a question-answering model (such as deepset/roberta-base-squad2)", (model) =>
      pipeline("question-answering", model, loading(o)),
    );
    const found: Placed[] = [];
    const { progress_callback, ...call } = calling("reading", o);
    for (const [done, { text, file }] of full.entries()) {
      const of = await ask(question, text, { top_k: o.topK, ...call });
      progress_callback({ done: done + 1, total: full.length });
      for (const a of [of].flat())
        found.push({
          ...a,
          file,
          line: file === undefined ? file : text.slice(0, a.start).split("\n").length,
          context: around(text, a),
        });
    }
    const best = found.sort((a, b) => b.score - a.score).slice(0, o.topK);
    if (o.json) await writeJson(best);
    else
      for (const { answer, score, file, line, context } of best) {
        await writeLine(
          `${score.toFixed(4)}  ${bold(excerpt(answer, 8).trimStart())}${file ? dim(`  ${file}:${line}`) : ""}`,
        );
        await writeLine(dim(excerpt(context, 8)));
      }
    ask.dispose();
  });

/** The sentence around an answer. */
function around(text: string, { start, end }: Answer): string {
  const before = text.slice(Math.max(0, start - 200), start);
  const after = text.slice(end, end + 200);
  const from = start - before.length + before.search(/(?<=^|[.!?\n]\s*)[^.!?\n]*$/);
  const rest = /^.*?[.!?](?=\s|$)|^[^\n]*/.exec(after)![0];
  return text.slice(from, end + rest.length);
}
