import { InputError } from "../errors.ts";
import type { ModelSource } from "../format/source.ts";
import type { LoadOptions } from "../models/model.ts";
import { whole } from "../options.ts";
import { best, type Each, each, loadFor, softmax, strings, type Top } from "./scores.ts";
import { type CallOptions, type Task, task } from "./text.ts";

export interface QuestionAnsweringOptions<K extends number = number> extends CallOptions {
  /** How many answers, best first; there may be fewer. Default 1. */
  top_k?: K;
  /** Most tokens of an answer. Default 15. */
  max_answer_len?: number;
  /** Most tokens of a window: question, part of the context, special tokens. Default 384, or what the model takes if that is less. */
  max_seq_len?: number;
  /** Tokens that a window shares with the one before it. Default 128, or half of max_seq_len if that is less. */
  doc_stride?: number;
  /** Whether there may be no answer: "", with the probability that the model gives to it. Default false. */
  handle_impossible_answer?: boolean;
  /** Widen an answer to whole words. Default true. */
  align_to_words?: boolean;
}

export interface Answer {
  answer: string;
  score: number;
  /** Where it stands in the context, in UTF-16 units: `context.slice(start, end)`. (transformers counts code points.) */
  start: number;
  end: number;
}

/** The spans of a context that answer a question, or of contexts several: transformers' pipeline. One context serves all questions. */
export type QuestionAnswering = Task<
  <Q extends string | readonly string[], K extends number = 1>(
    question: Q,
    context: string | readonly string[],
    options?: QuestionAnsweringOptions<K>,
  ) => Promise<Each<Q, Top<K, Answer>>>
>;

export async function questionAnswering(source?: ModelSource, options?: LoadOptions): Promise<QuestionAnswering> {
  const text = await loadFor("question-answering", "QuestionAnswering", source, options);
  const { tokenizer } = text;

  const call = (
    question: string | readonly string[],
    context: string | readonly string[],
    o: QuestionAnsweringOptions = {},
  ) =>
    each("question", question, async (questions) => {
      const { handle_impossible_answer, align_to_words = true } = o;
      const k = whole("top_k", o.top_k ?? 1);
      const longest = whole("max_answer_len", o.max_answer_len ?? 15);
      const max_length = whole("max_seq_len", o.max_seq_len ?? Math.min(text.max_length, 384));
      const stride = whole("doc_stride", o.doc_stride ?? Math.min(max_length >> 1, 128), 0);
      const given = strings("context", [context].flat());
      const contexts = given.length === 1 ? questions.map(() => given[0]) : given;
      if (contexts.length !== questions.length)
        throw new InputError(`${questions.length} questions, but ${contexts.length} contexts`);
      if (questions.concat(contexts).includes("")) throw new InputError("question or context is empty");

      const windows = questions.flatMap((q, of) =>
        tokenizer.windows(q, contexts[of], { max_length, stride }).map((e) => ({ ...e, of })),
      );
      // Spans that read alike are one answer: their scores add up.
      const found = questions.map(() => new Map<string, Answer>());
      const impossible = questions.map(() => 1);
      const read = (e: (typeof windows)[0], ...logits: Float32Array[]) => {
        const { of, input_ids, sequence_ids, offsets, word_ids } = e;
        // Tokens of the context, and the first one, which stands for no answer.
        const at = input_ids.flatMap((id, t) => (sequence_ids[t] === 1 || id === tokenizer.cls_token_id ? t : []));
        const [starts, ends] = logits.map((x) => softmax(at.map((t) => x[t])));
        impossible[of] = Math.min(impossible[of], at[0] === 0 ? starts[0] * ends[0] : 0);
        const spans: { from: number; to: number; score: number }[] = [];
        for (const [a, from] of at.entries())
          for (let b = a; sequence_ids[from] === 1 && at[b] < from + longest; b++) {
            const score = starts[a] * ends[b];
            if (score > 0) spans.push({ from, to: at[b], score });
          }
        /** The bound of the word, or of the token, on this side of it. */
        const bound = (t: number, step: 1 | -1) => {
          const same = () => sequence_ids[t + step] === 1 && word_ids[t + step] === word_ids[t];
          while (align_to_words && same()) t += step;
          return offsets[t][step < 0 ? 0 : 1];
        };
        // Some of the spans may become the same words.
        for (const { from, to, score } of best(spans, align_to_words ? 2 * k + 10 : k)) {
          const [start, end] = [bound(from, -1), bound(to, 1)];
          const answer = contexts[of].slice(start, end);
          const known = found[of].get(answer.toLowerCase());
          if (known) known.score += score;
          else found[of].set(answer.toLowerCase(), { answer, score, start, end });
        }
      };
      await text.each(windows, ["start_logits", "end_logits"], read, o);
      return found.map((answers, of) => {
        const none = { answer: "", score: impossible[of], start: 0, end: 0 };
        const answered = best([...answers.values(), ...(handle_impossible_answer ? [none] : [])], k);
        return k > 1 ? answered : (answered[0] ?? { ...none, score: 0 });
      });
    });
  return task(text, call as never) as QuestionAnswering;
}
