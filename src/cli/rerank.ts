import { InputError, pipeline } from "../host/node.ts";
import {
  type CommonOptions,
  calling,
  command,
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
  topK?: number;
}

/** @throws UsageError for lack of a model, InputError that says which kind fits where the given one does not */
export async function needs<T>(
  model: string | undefined,
  what: string,
  load: (model: string) => Promise<T>,
): Promise<T> {
  if (!model) throw new UsageError(`the model that ships is an embedder: give ${what} with --model`);
  return load(model).catch((error) => {
    if (error instanceof InputError) throw new InputError(`${error.message}: give ${what}`, { cause: error });
    throw error;
  });
}

export const rerank = reading(
  command("rerank", "Order documents by how well they answer a query, with a cross-encoder.", [
    'rerank "how do cats sleep" "Cats nap often." "Stocks fell." --model cross-encoder/ms-marco-MiniLM-L6-v2',
    'rerank "how do cats sleep" --file candidates.txt --top-k 3 --json --model ./ms-marco-MiniLM-L6-v2',
  ])
    .argument("<query>")
    .argument("[documents...]", "without them: --file, or standard input, a document a line")
    .option("-k, --top-k <n>", "how many to give; default: all", whole(1)),
  "documents",
).action(async (query: string, args: string[], o: Options) => {
  const documents = await readTexts(args, o, "document");
  const rank = await needs(o.model, "a cross-encoder (such as cross-encoder/ms-marco-MiniLM-L6-v2)", (model) =>
    pipeline("text-ranking", model, loading(o)),
  );
  const ranked = await rank(query, documents, {
    top_k: o.topK ?? null,
    return_documents: true,
    ...calling("ranking", o),
  });
  if (o.json) await writeJson(ranked);
  else
    for (const { score, text } of ranked) {
      const number = score.toFixed(4).padStart(8);
      await writeLine(`${number}  ${excerpt(text!, 10).trimStart()}`);
    }
  rank.dispose();
});
