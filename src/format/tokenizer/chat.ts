import { Template } from "@huggingface/jinja";
import { InputError } from "../../errors.ts";

/** A turn of a conversation; templates may read more members than these. */
export interface Message {
  readonly role: string;
  readonly content?: unknown;
  readonly [member: string]: unknown;
}

export interface ChatTemplateOptions {
  /** A template, or the name of one of the folder's. Default: the folder's own. */
  chat_template?: string;
  /** Adds what begins the assistant's answer. Default false. */
  add_generation_prompt?: boolean;
  /** Leaves the last message open, so that it is gone on with. Default false. */
  continue_final_message?: boolean;
  /** JSON Schemas of functions that the model may call. */
  tools?: readonly object[];
  documents?: readonly object[];
  /** What the template reads besides, `enable_thinking` for one. */
  [variable: string]: unknown;
}

/** A checkpoint's templates: one, or several by name, as tokenizer_config.json lists them. */
export type ChatTemplates = string | readonly { readonly name: string; readonly template: string }[];

const parsed = new Map<string, Template>();
const OPEN = "CONTINUE_FINAL_MESSAGE_TAG ";

function choose(templates: ChatTemplates | undefined, name: string | undefined, tools: boolean): string {
  const named = Array.isArray(templates) ? new Map(templates.map((t) => [t.name, t.template])) : undefined;
  const found = named
    ? ((name === undefined ? undefined : (named.get(name) ?? name)) ??
      (tools ? named.get("tool_use") : undefined) ??
      named.get("default"))
    : (name ?? (templates as string | undefined));
  if (typeof found === "string") return found;
  const which = named ? `name one of its chat templates: ${[...named.keys()].join(", ")}` : "give a chat_template";
  throw new InputError(`the tokenizer has no chat template of its own: ${which}`);
}

/** Without what is null: templates would write the word. */
const present = (message: Message): Message =>
  Object.fromEntries(Object.entries(message).filter(([, value]) => value != null)) as Message;

/** The prompt of a conversation, as transformers' apply_chat_template renders it. @throws InputError */
export function renderChat(
  messages: readonly Message[],
  templates: ChatTemplates | undefined,
  special: { readonly [token: string]: string },
  {
    chat_template,
    add_generation_prompt = false,
    continue_final_message = false,
    tools,
    documents,
    ...variables
  }: ChatTemplateOptions,
): string {
  if (!Array.isArray(messages) || !messages.length || messages.some((m) => typeof m?.role !== "string"))
    throw new InputError("messages must be a list of { role, content }, with at least one");
  if (continue_final_message && add_generation_prompt)
    throw new InputError("continue_final_message goes on with the last message, add_generation_prompt begins another");
  const source = choose(templates, chat_template, tools !== undefined);
  const turns = messages.map(present);
  if (continue_final_message) {
    const last = turns.length - 1;
    if (typeof turns[last].content !== "string") throw new InputError("the last message has no text to go on with");
    turns[last] = { ...turns[last], content: turns[last].content + OPEN };
  }
  let text: string;
  try {
    let template = parsed.get(source);
    if (!template) {
      template = new Template(source);
      if (parsed.size > 15) parsed.clear();
      parsed.set(source, template);
    }
    text = template.render({
      ...special,
      ...variables,
      messages: turns,
      tools: tools ?? null,
      documents: documents ?? null,
      add_generation_prompt,
    });
  } catch (cause) {
    throw new InputError(`the chat template says: ${(cause as Error).message}`, { cause });
  }
  if (!continue_final_message) return text;
  const at = text.lastIndexOf(OPEN.trim());
  if (at < 0) throw new InputError("the chat template leaves out the last message");
  // A template that trims contents has taken the space behind the mark.
  return text.startsWith(OPEN, at) ? text.slice(0, at) : text.slice(0, at).trimEnd();
}
