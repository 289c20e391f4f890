import { InputError, UnsupportedOptionError } from "../errors.ts";
import { Config } from "../format/config.ts";
import { readJson } from "../format/read.ts";
import type { ModelSource } from "../format/source.ts";
import type { LoadOptions } from "../models/model.ts";
import { best, choice, countOrAll, loadFor, sigmoid, strings } from "./scores.ts";
import { type CallOptions, type Task, type TextIds, task } from "./text.ts";

export interface TextRankingOptions extends CallOptions {
  /** How many documents to give, null for all. Default null. */
  top_k?: number | null;
  /** Give the documents' texts too. Default false. */
  return_documents?: boolean;
  /** What makes a score of the logit. Default: what the checkpoint says (see textRanking). */
  activation?: "sigmoid" | "none";
}

export interface Ranked {
  /** Which of the documents. */
  corpus_id: number;
  score: number;
  text?: string;
}

/** Documents by how well they fit the query, best first: sentence-transformers' CrossEncoder.rank. */
export type TextRanking = Task<
  (query: string, documents: readonly string[], options?: TextRankingOptions) => Promise<Ranked[]>
> & {
  /** Most tokens that a query and a document may have together, special ones included: longer pairs are cut. */
  readonly max_length: number;
  /** The ids of a pair, so that pairs of many queries can be gathered before they are run; whole if not to be cut. */
  encode(query: string, document: string, options?: { truncation?: boolean }): TextIds;
  /** A score for each pair. */
  score(pairs: readonly TextIds[], options?: Omit<TextRankingOptions, "top_k" | "return_documents">): Promise<number[]>;
};

const ACTIVATIONS = ["sigmoid", "none"] as const;

/** PyTorch's class as sentence-transformers writes it down: torch.nn.modules.linear.Identity. */
function activationOf(config: Config, name: string): (typeof ACTIVATIONS)[number] {
  const path = config.string(name);
  const [, kind] = /^torch\.nn\.(?:modules\.\w+\.)?(Sigmoid|Identity)$/.exec(path) ?? [];
  if (!kind)
    throw new UnsupportedOptionError(`${config.file}: ${name}`, path, ["torch.nn.Sigmoid", "torch.nn.Identity"]);
  return kind === "Sigmoid" ? "sigmoid" : "none";
}

/**
 * A cross-encoder. Its activation is the one in config_sentence_transformers.json (`activation_fn`) or config.json
 * (`sentence_transformers.activation_fn`, before 4.0 `sbert_ce_default_activation_function`), else sigmoid.
 * @throws UnsupportedOptionError if that is another one, InputError unless the model has one label
 */
export async function textRanking(source?: ModelSource, options?: LoadOptions): Promise<TextRanking> {
  let own: (typeof ACTIVATIONS)[number] = "sigmoid";
  const text = await loadFor("text-ranking", "SequenceClassification", source, options, async (config, folder) => {
    const labels = config.labels().length;
    if (labels !== 1)
      throw new InputError(`text-ranking needs a checkpoint with 1 label; ${folder.name} has ${labels}`);
    const file = "config_sentence_transformers.json";
    const saved = new Config((await readJson(folder, file, options?.signal)) ?? {}, file);
    const places: [Config, string][] = [
      [saved, "activation_fn"],
      [config.sub("sentence_transformers"), "activation_fn"],
      [config, "sbert_ce_default_activation_function"],
    ];
    const place = places.find(([c, name]) => c.has(name));
    if (place) own = activationOf(...place);
    return undefined;
  });

  const encode: TextRanking["encode"] = (query, document, { truncation = true } = {}) => {
    const { input_ids, token_type_ids } = text.encode(query, document, { truncation });
    return { input_ids, token_type_ids };
  };
  const score: TextRanking["score"] = async (pairs, { activation = own, ...o } = {}) => {
    choice("activation", activation, ACTIVATIONS);
    const scores: number[] = [];
    await text.each(pairs, ["logits"], (_, [x]) => scores.push(activation === "none" ? x : sigmoid(x)), o);
    return scores;
  };
  const call = async (query: string, documents: readonly string[], o: TextRankingOptions = {}) => {
    const { top_k = null, return_documents, ...rest } = o;
    const k = countOrAll("top_k", top_k);
    const scores = await score(
      strings("documents", documents).map((document) => encode(query, document)),
      rest,
    );
    const ranked = best(
      scores.map((score, corpus_id) => ({ corpus_id, score })),
      k,
    );
    return ranked.map((r) => (return_documents ? { ...r, text: documents[r.corpus_id] } : r));
  };
  return Object.assign(task(text, call), { max_length: text.max_length, encode, score });
}
