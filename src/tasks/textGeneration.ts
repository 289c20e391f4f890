import { InputError } from "../errors.ts";
import type { ModelSource } from "../format/source.ts";
import type { Message } from "../format/tokenizer/chat.ts";
import type { Token } from "../generate/loop.ts";
import type { LoadOptions } from "../models/model.ts";
import { apart, streamed, type WritingOptions, written } from "./generation.ts";
import { loadFor } from "./scores.ts";
import { type Task, task } from "./text.ts";

export interface TextGenerationOptions extends WritingOptions {
  /** Whether `generated_text` begins with the prompt. Default true; of a conversation false gives the answer alone, as a string. */
  return_full_text?: boolean;
  /** Whether a prompt gets the special tokens of the tokenizer's template. Default true; conversations have those of theirs. */
  add_special_tokens?: boolean;
  /** For conversations: what the template reads. */
  tools?: readonly object[];
  documents?: readonly object[];
  chat_template?: string;
  /** Goes on with the last message. Default: if that is the assistant's. */
  continue_final_message?: boolean;
  /** Further variables of the template, `enable_thinking` for one. */
  chat_template_kwargs?: { readonly [variable: string]: unknown };
}

export interface Generated<T = string> {
  generated_text: T;
}

type Chat = readonly Message[];

/** Goes on with texts, or answers conversations: a list of results for each, `num_return_sequences` of them. */
export type TextGeneration = Task<{
  (text: string, options?: TextGenerationOptions): Promise<Generated[]>;
  (texts: readonly string[], options?: TextGenerationOptions): Promise<Generated[][]>;
  (chat: Chat, options: TextGenerationOptions & { return_full_text: false }): Promise<Generated[]>;
  (chat: Chat, options?: TextGenerationOptions): Promise<Generated<Message[]>[]>;
  (chats: readonly Chat[], options?: TextGenerationOptions): Promise<Generated<Message[]>[][]>;
}> & {
  /** The tokens that follow one text or conversation, as they are made. */
  stream(input: string | Chat, options?: TextGenerationOptions): AsyncGenerator<Token, void, undefined>;
  /** The ids of a text or conversation, as the model reads it. */
  encode(input: string | Chat, options?: TextGenerationOptions): Promise<number[]>;
};

/** Prompts of a batch: what their keys and values take stays small. */
const TOGETHER = 8;

const isChat = (input: unknown): input is Chat =>
  Array.isArray(input) && input.length > 0 && input.every((m) => typeof m === "object" && m && "role" in m);

/** What is the pipeline's own, apart from what is generation's. */
function parted({
  return_full_text = true,
  add_special_tokens = true,
  tools,
  documents,
  chat_template,
  continue_final_message,
  chat_template_kwargs,
  ...writing
}: TextGenerationOptions) {
  const template = { ...chat_template_kwargs, tools, documents, chat_template };
  return { return_full_text, add_special_tokens, continue_final_message, template, writing };
}

export async function textGeneration(source?: ModelSource, options?: LoadOptions): Promise<TextGeneration> {
  const text = await loadFor("text-generation", "CausalLM", source, options, () => ({
    chat: async () => await import("../format/tokenizer/chat.ts"),
  }));
  const { tokenizer } = text;

  const goesOn = (chat: Chat, o: ReturnType<typeof parted>) =>
    o.continue_final_message ?? chat[chat.length - 1].role === "assistant";
  const encode = async (input: string | Chat, o: ReturnType<typeof parted>): Promise<number[]> => {
    if (typeof input === "string") {
      const { input_ids } = tokenizer.encode(input, { add_special_tokens: o.add_special_tokens });
      if (!input_ids.length) throw new InputError("an empty text has no token to go on with");
      return input_ids;
    }
    if (!isChat(input)) throw new InputError("a text, a list of { role, content }, or a list of those");
    const continue_final_message = goesOn(input, o);
    const how = { ...o.template, continue_final_message, add_generation_prompt: !continue_final_message };
    return tokenizer.apply_chat_template(input, how);
  };
  const start = (ids: readonly number[][]) => ({
    // Ids that are like padding count all the same.
    inputs: { input_ids: ids, attention_mask: ids.map((one) => one.map(() => 1)) },
    prompt: ids[0].length,
  });

  const call = async (given: string | Chat | readonly (string | Chat)[], o: TextGenerationOptions = {}) => {
    const own = parted(o);
    const { writing } = own;
    const one = typeof given === "string" || isChat(given);
    const inputs = (one ? [given] : given) as readonly (string | Chat)[];
    if (!Array.isArray(inputs)) throw new InputError("a text, a list of { role, content }, or a list of those");
    const ids = await Promise.all(inputs.map((input) => encode(input, own)));
    const found: Generated<string | Message[]>[][] = [];
    const together = apart(writing) ? 1 : TOGETHER;
    for (let first = 0; first < ids.length; first += together) {
      const part = ids.slice(first, first + together);
      const all = await written(text, start(part), writing);
      const each = all.length / part.length;
      for (const [i, prompt] of part.entries())
        found.push(
          all.slice(i * each, (i + 1) * each).map((made) => {
            const skip_special_tokens = true;
            const before = tokenizer.decode(prompt, { skip_special_tokens }).length;
            const answer = tokenizer.decode(made, { skip_special_tokens }).slice(before);
            return { generated_text: whole(inputs[first + i], answer, own) };
          }),
        );
      o.progress_callback?.({ done: found.length, total: ids.length });
    }
    return one ? found[0] : found;
  };
  const whole = (input: string | Chat, answer: string, o: ReturnType<typeof parted>): string | Message[] => {
    if (!o.return_full_text) return answer;
    if (typeof input === "string") return input + answer;
    const last = input[input.length - 1];
    if (goesOn(input, o)) return [...input.slice(0, -1), { ...last, content: `${last.content}${answer}` }];
    return [...input, { role: "assistant", content: answer }];
  };

  return Object.assign(task(text, call as never), {
    async *stream(input: string | Chat, o: TextGenerationOptions = {}) {
      const own = parted(o);
      yield* streamed(text, start([await encode(input, own)]), own.writing);
    },
    encode: (input: string | Chat, o: TextGenerationOptions = {}) => encode(input, parted(o)),
  }) as TextGeneration;
}
