import type { ModelSource } from "../format/source.ts";
import type { Encoding } from "../format/tokenizer.ts";
import type { LoadOptions } from "../models/model.ts";
import { whole } from "../options.ts";
import { choice, type Each, each, loadFor, softmax, topK } from "./scores.ts";
import { type CallOptions, type Task, type TextModel, task } from "./text.ts";

const STRATEGIES = ["none", "simple", "first", "average", "max"] as const;
type Strategy = (typeof STRATEGIES)[number];

export interface TokenClassificationOptions<S extends Strategy = Strategy> extends CallOptions {
  /**
   * How tokens become entities. `none`: not at all; `simple`: neighbours of one label are one entity; the others let a word have one
   * label first, that of its `first` token, of the `average` of its scores or of the token with the `max`imal score.
   */
  aggregation_strategy?: S;
  /** Labels (none) or groups (else) to leave out. Default ["O"]. */
  ignore_labels?: readonly string[];
  /** Reads a long text in windows that share this many tokens, instead of its start alone. Not with `none`. */
  stride?: number;
}

interface Span {
  score: number;
  /** The tokens as the tokenizer writes them. */
  word: string;
  /** Where it stands in the text, in UTF-16 units: `text.slice(start, end)`. (transformers counts code points.) */
  start: number;
  end: number;
}
/** A token with its label; `index` is its place in the model's input. */
export interface LabelledToken extends Span {
  entity: string;
  index: number;
}
export interface Entity extends Span {
  entity_group: string;
}

/** Labels of tokens, or entities where an aggregation strategy is given: transformers' pipeline. */
export type TokenClassification = Task<
  <T extends string | readonly string[], S extends Strategy = "none">(
    texts: T,
    options?: TokenClassificationOptions<S>,
  ) => Promise<Each<T, (S extends "none" ? LabelledToken : Entity)[]>>
>;

interface Token {
  id: number;
  index: number;
  word: string;
  start: number;
  end: number;
  scores: number[];
  /** Goes on with the word that the token before it began. */
  subword: boolean;
}
interface Labelled {
  label: string;
  score: number;
  tokens: Token[];
}

/** The tokens of a window that stand in the text. */
function tokensOf(
  { tokenizer, wordpiece }: TextModel,
  text: string,
  e: Encoding,
  logits: Float32Array,
  labels: number,
): Token[] {
  return e.input_ids.flatMap((id, index) => {
    if (e.special_tokens_mask[index]) return [];
    const [start, end] = e.offsets[index];
    const own = text.slice(start, end);
    const token = tokenizer.token(id)!;
    const unknown = id === tokenizer.unk_token_id;
    // As transformers tells it: WordPiece by its ##, which makes a token longer than its text; others by the space before it.
    const longer = [...token].length !== [...own].length;
    const subword = !unknown && (wordpiece ? longer : start > 0 && !text.slice(start - 1, start + 1).includes(" "));
    return {
      id,
      index,
      word: unknown ? own : token,
      start,
      end,
      scores: softmax(logits.subarray(index * labels, (index + 1) * labels)),
      subword,
    };
  });
}

/** The label of tokens that are one word to `strategy`. */
function labelled(tokens: Token[], strategy: Strategy, labels: readonly string[]): Labelled {
  let [{ scores }] = tokens;
  if (strategy === "max")
    scores =
      tokens[
        topK(
          tokens.map((t) => Math.max(...t.scores)),
          1,
        )[0]
      ].scores;
  if (strategy === "average")
    scores = labels.map((_, i) => tokens.reduce((sum, t) => sum + t.scores[i], 0) / tokens.length);
  const [best] = topK(scores, 1);
  return { label: labels[best], score: scores[best], tokens };
}

/** Puts neighbours together of which `joins` says that they are one. */
function grouped<T>(items: readonly T[], joins: (item: T, before: T) => boolean): T[][] {
  const groups: T[][] = [];
  for (const item of items) {
    const group = groups.at(-1);
    if (group && joins(item, group.at(-1)!)) group.push(item);
    else groups.push([item]);
  }
  return groups;
}

/** A label without B- or I-; one that has neither goes on with its like. */
const tagOf = (label: string) => label.replace(/^[BI]-/, "");

/** Of entities of several windows that overlap, the longest, of those as long the surest. */
function distinct(entities: Entity[]): Entity[] {
  const kept: Entity[] = [];
  for (const e of entities.sort((a, b) => a.start - b.start)) {
    const before = kept.at(-1);
    const longer = before && e.end - e.start - (before.end - before.start);
    if (!before || e.start >= before.end) kept.push(e);
    else if (longer! > 0 || (longer === 0 && e.score > before.score)) kept[kept.length - 1] = e;
  }
  return kept;
}

export async function tokenClassification(source?: ModelSource, options?: LoadOptions): Promise<TokenClassification> {
  const text = await loadFor("token-classification", "TokenClassification", source, options);
  const { tokenizer } = text;
  const labels = text.model.config.labels();

  /** Tokens as text. Unknown ones are what stands in the text, as in transformers. */
  const written = (tokens: readonly Token[]) => {
    const words = tokens.filter(({ id }) => id === tokenizer.unk_token_id).map(({ word }) => word);
    const string = tokenizer.decode(
      tokens.map(({ id }) => id),
      { clean_up_tokenization_spaces: false },
    );
    return words.length ? string.replaceAll(tokenizer.unk_token!, (unknown) => words.shift() ?? unknown) : string;
  };

  const entities = (tokens: Token[], strategy: Strategy): Entity[] => {
    const words = strategy === "simple" ? tokens.map((t) => [t]) : grouped(tokens, (t) => t.subword);
    const found = words.map((word) => labelled(word, strategy, labels));
    return grouped(found, (w, before) => !w.label.startsWith("B-") && tagOf(w.label) === tagOf(before.label)).map(
      (group) => {
        const all = group.flatMap((w) => w.tokens);
        return {
          entity_group: group[0].label.slice(group[0].label.indexOf("-") + 1),
          score: group.reduce((sum, w) => sum + w.score, 0) / group.length,
          word: written(all),
          start: all[0].start,
          end: all.at(-1)!.end,
        };
      },
    );
  };

  const call = (texts: string | readonly string[], o: TokenClassificationOptions = {}) =>
    each("texts", texts, async (list) => {
      const { aggregation_strategy: strategy = "none", ignore_labels = ["O"], stride } = o;
      const windowed = stride !== undefined;
      choice("aggregation_strategy", strategy, windowed ? STRATEGIES.slice(1) : STRATEGIES);
      if (windowed) whole("stride", stride, 0);
      const windows = list.flatMap((one, of) => {
        const first = text.encode(one, undefined, { stride, return_overflowing_tokens: windowed });
        return [first, ...(first.overflowing ?? [])].map((e) => ({ ...e, of }));
      });
      const found: (LabelledToken | Entity)[][] = list.map(() => []);
      const read = (e: (typeof windows)[0], logits: Float32Array) => {
        const tokens = tokensOf(text, list[e.of], e, logits, labels.length);
        const kept =
          strategy === "none"
            ? tokens.map((t): LabelledToken => {
                const { label, score } = labelled([t], strategy, labels);
                return { entity: label, score, index: t.index, word: t.word, start: t.start, end: t.end };
              })
            : entities(tokens, strategy);
        found[e.of].push(...kept.filter((x) => !ignore_labels.includes("entity" in x ? x.entity : x.entity_group)));
      };
      await text.each(windows, ["logits"], read, o);
      return windowed ? found.map((all) => distinct(all as Entity[])) : found;
    });
  return task(text, call as never) as TokenClassification;
}
