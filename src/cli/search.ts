import { readFile, writeFile } from "node:fs/promises";
import { type Found, InputError, pipeline, type SemanticSearch, ShapeError } from "../host/node.ts";
import { files, passagesOf } from "./documents.ts";
import {
  bold,
  type CommonOptions,
  calling,
  command,
  dim,
  excerpt,
  loading,
  reading,
  readTexts,
  type TextOptions,
  UsageError,
  whole,
  writeJson,
  writeLine,
} from "./io.ts";

interface Options extends CommonOptions, TextOptions {
  docs?: string[];
  index?: string;
  topK: number;
}

/** Passages of one call: few enough that a progress bar moves. */
const PART = 64;

/** Adds the passages of files and says how many. */
export async function addFiles(search: SemanticSearch, paths: readonly string[], o: CommonOptions): Promise<number> {
  const all = [];
  for (const path of paths) all.push(...(await passagesOf(path)));
  const { progress_callback, ...call } = calling("indexing", o);
  for (let done = 0; done < all.length; ) {
    const part = all.slice(done, done + PART);
    await search.add(part, call);
    done += part.length;
    progress_callback({ done, total: all.length });
  }
  return all.length;
}

/** Hits of one query as a person reads them. */
export async function writeHits(query: string, hits: readonly Found[], note = ""): Promise<void> {
  await writeLine(bold(excerpt(query, 0, 1)) + note);
  for (const { id, score, text } of hits) {
    await writeLine(`  ${score.toFixed(2)}  ${dim(id.replace(/\++$/, ""))}`);
    await writeLine(excerpt(text, 8));
  }
}

/** An index does not say which model made it. A text that it holds must find itself. @throws InputError if it does not */
async function check(search: SemanticSearch, query: string, index: string): Promise<void> {
  const near = (text: string) => search.search(text, { top_k: 1 });
  const same = await near(query)
    .then(async ([hit]) => !hit || (await near(hit.text))[0].score > 0.99)
    .catch((error) => {
      if (error instanceof ShapeError) return false;
      throw error;
    });
  if (!same) throw new InputError(`${index} was made by another model`);
}

export const search = reading(
  command("search", "Find the passages of documents that mean what a query says.", [
    'search "how is memory planned" --docs docs README.md',
    "search --docs docs --index docs.safetensors       # read once",
    'search --index docs.safetensors "what is a plan?" # search often',
  ])
    .argument("[queries...]", "without them: --file, or standard input, a query a line")
    .option("-d, --docs <path...>", "files, and folders with .md and .txt files; of .ts and .js the doc comments")
    .option("-i, --index <file>", "with --docs: save the index there; without: search it")
    .option("-k, --top-k <n>", "passages for each query", whole(1), 5),
  "queries",
).action(async (args: string[], o: Options) => {
  const { docs, index } = o;
  if (!docs && !index) throw new UsageError("nothing to search: give --docs or --index");
  const paths = docs && (await files(docs));
  const builds = docs && index && !args.length && !o.file;
  const queries = builds ? [] : await readTexts(args, o, "query");
  if (!builds && !queries.length) throw new InputError("no query");
  const bytes = docs ? undefined : await readFile(index!);

  const find = await pipeline("semantic-search", o.model, loading(o));
  if (bytes) await find.load(bytes);
  else if (!(await addFiles(find, paths!, o))) throw new InputError(`${docs!.join(", ")}: no text to search`);
  if (bytes) await check(find, queries[0], index!);
  else if (index) {
    await writeFile(index, await find.save());
    console.error(`${index}: ${find.size} passages of ${paths!.length} files`);
  }
  const found = await find.search(queries, { top_k: o.topK, ...calling("searching", o) });
  if (o.json) {
    const hits = (list: Found[]) =>
      list.map(({ id, score, text }) => {
        const at = id.lastIndexOf(":");
        return { file: id.slice(0, at), line: Number.parseInt(id.slice(at + 1), 10), score, text };
      });
    await writeJson(queries.map((query, i) => ({ query, hits: hits(found[i]) })));
  } else
    for (const [i, query] of queries.entries()) {
      if (i) await writeLine();
      await writeHits(query, found[i]);
    }
  find.dispose();
});
