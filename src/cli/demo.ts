import { existsSync, readdirSync } from "node:fs";
import { join, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { pipeline, type Tensor } from "../host/node.ts";
import { SemanticSearch } from "../tasks/semanticSearch.ts";
import { attentionText } from "../view/terminal.ts";
import { headOf, without } from "./attention.ts";
import { files } from "./documents.ts";
import {
  bold,
  type CommonOptions,
  command,
  dim,
  loading,
  megabytes,
  milliseconds,
  screen,
  signal,
  writeJson,
  writeLine,
} from "./io.ts";
import { addFiles, writeHits } from "./search.ts";

const QUERIES = [
  "how much memory will a model need?",
  "abort a long run",
  "does a batch change the result?",
  "which documents answer the query best?",
  "steps to add a new model",
];
const SENTENCE = "The bank raised interest rates after the river bank flooded.";

/** This package's documents: its Markdown, and the comments of its public code. */
async function ownDocuments(): Promise<string[]> {
  const texts = ["README.md", "CONTRIBUTING.md", "CHANGELOG.md", "docs"].filter((path) => existsSync(path));
  // The published package has declarations in place of the sources.
  const [root, end] = existsSync("src/index.ts") ? ["src", ".ts"] : ["dist", ".d.ts"];
  const code = ["models", "nn", "tasks", "view"].flatMap((folder) =>
    readdirSync(join(root, folder)).flatMap((name) => (name.endsWith(end) ? join(root, folder, name) : [])),
  );
  return [...(await files(texts)), ...code.sort()];
}

async function timed<T>(work: Promise<T>): Promise<[result: T, ms: number]> {
  const start = performance.now();
  return [await work, performance.now() - start];
}

export const demo = command("demo", "Search this package's own documents, and draw the attention of a sentence.", [
  "demo",
]).action(async (o: CommonOptions) => {
  const source = o.model && existsSync(o.model) ? resolve(o.model) : o.model;
  process.chdir(fileURLToPath(new URL("../..", import.meta.url)));
  const say = async (text = "") => {
    if (!o.json) await writeLine(text);
  };
  const row = (name: string, text: string) => say(`${bold(name.padEnd(10))} ${text}`);

  const [extract, load_ms] = await timed(pipeline("feature-extraction", source, loading(o)));
  const { model, tokenizer } = extract;
  const name = o.model ?? "the one that ships";
  await row("model", `${name}: ${model.config.model_type}, loaded in ${milliseconds(load_ms)}`);

  const find = new SemanticSearch(extract);
  const paths = await ownDocuments();
  const [passages, index_ms] = await timed(addFiles(find, paths, o));
  const speed = ((passages * 1000) / index_ms).toFixed(0);
  await row("documents", `${paths.length} files of this package, ${passages} passages`);
  await row("indexed", `in ${milliseconds(index_ms)}: ${speed} passages a second on one thread`);
  const memory = model.session.engine.memory.bytes;
  const rss = process.memoryUsage.rss();
  await row("memory", `${megabytes(memory)} for the model and its work; the whole process ${megabytes(rss)}`);

  const answers = [];
  for (const query of QUERIES) {
    const [hits, ms] = await timed(find.search(query, { top_k: 2, signal }));
    answers.push({ query, ms, hits });
    await say();
    if (!o.json) await writeHits(query, hits, dim(`  ${milliseconds(ms)}`));
  }

  const { tokens, input_ids, special_tokens_mask: mask } = tokenizer.encode(SENTENCE);
  const [result, ms] = await timed(model.forward({ input_ids }, { outputs: ["attentions"], signal }));
  const attentions = result.attentions as Tensor[];
  const layer = Math.min(1, attentions.length - 1);
  const matrix = headOf(attentions[layer], "mean");
  await say(`\n${bold(SENTENCE)}${dim(`  ${milliseconds(ms)}`)}`);
  await say("What each word (row) attends to (columns), special tokens left out:");
  await say(`layer ${layer} of 0–${attentions.length - 1}, mean of ${attentions[0].dims[1]} heads.\n`);
  const words = tokens.filter((_, i) => !mask[i]);
  await say(attentionText(without(mask, matrix), words, screen));
  await say(`\nNext: ${dim('npx wattention search "a question" --docs folder/of/notes')}`);
  await say(`      ${dim('npx wattention attention "a sentence" --html page.html')}`);
  if (o.json)
    await writeJson({
      load_ms,
      files: paths.length,
      passages,
      index_ms,
      memory,
      rss,
      answers,
      attention: { ms, tokens, layer, head: "mean", matrix: matrix.tolist() },
    });
  find.dispose();
});
