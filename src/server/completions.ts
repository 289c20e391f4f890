import type { Context } from "hono";
import { streamSSE } from "hono/streaming";
import type { Message } from "../format/tokenizer/chat.ts";
import type { ResponseFormat } from "../tasks/constraint/constraint.ts";
import { QueueFullError } from "./batcher.ts";
import { Body, few } from "./body.ts";
import { ApiError, apiError, invalid } from "./errors.ts";
import type { GenerationModel, WriteOptions, WrittenToken } from "./generation.ts";
import type { Limits } from "./models.ts";
import type { Env, Models } from "./types.ts";

/** What OpenAI has and we have not: it would change the answer, so it is no silent omission. */
const REFUSED = ["tools", "tool_choice", "functions", "function_call", "audio", "prediction", "web_search_options", "suffix", "echo", "best_of"]; // biome-ignore format: a list

/** Texts that one request may ask for. */
const CHOICES = 16;

/** How each of the two APIs writes a choice. */
interface Shape {
  readonly id: string;
  readonly object: string;
  /** Of a chunk of a stream; `first` has the role of a chat. */
  chunk(text: string, tokens: readonly WrittenToken[], first: boolean): object;
  /** Of a whole answer. */
  whole(text: string, tokens: readonly WrittenToken[]): object;
}

const bytes = (text: string) => Array.from(new TextEncoder().encode(text));

const CHAT: Shape = {
  id: "chatcmpl",
  object: "chat.completion",
  chunk: (content, tokens, first) => ({
    delta: { ...(first && { role: "assistant" }), content },
    ...(tokens.length > 0 && { logprobs: logprobs(tokens) }),
  }),
  whole: (content, tokens) => ({
    message: { role: "assistant", content, refusal: null },
    logprobs: tokens.length ? logprobs(tokens) : null,
  }),
};
const logprobs = (tokens: readonly WrittenToken[]) => ({
  content: tokens.map(({ text, logprob }) => ({ token: text, logprob, bytes: bytes(text), top_logprobs: [] })),
  refusal: null,
});
const legacy = (text: string, tokens: readonly WrittenToken[]) => {
  if (!tokens.length) return { text, logprobs: null };
  let offset = 0;
  const text_offset = tokens.map(({ text }) => {
    offset += text.length;
    return offset - text.length;
  });
  const token_logprobs = tokens.map(({ logprob }) => logprob);
  const logprobs = { tokens: tokens.map(({ text }) => text), token_logprobs, top_logprobs: null, text_offset };
  return { text, logprobs };
};
const TEXT: Shape = { id: "cmpl", object: "text_completion", chunk: legacy, whole: legacy };

/** Holds back what may be the beginning of a stop string; ends at the first of them. */
export class Stops {
  #held = "";
  constructor(readonly stops: readonly string[]) {}

  /** The text that is sure, and whether it ends here. */
  push(text: string): { text: string; stopped: boolean } {
    const all = this.#held + text;
    const found = this.stops.map((stop) => all.indexOf(stop)).filter((at) => at >= 0);
    if (found.length) {
      this.#held = "";
      return { text: all.slice(0, Math.min(...found)), stopped: true };
    }
    let keep = 0;
    for (const stop of this.stops)
      for (let n = Math.min(stop.length - 1, all.length); n > keep; n--) if (stop.startsWith(all.slice(-n))) keep = n;
    this.#held = all.slice(all.length - keep);
    return { text: all.slice(0, all.length - keep), stopped: false };
  }

  /** What was held back, once no more comes. */
  end(): string {
    const text = this.#held;
    this.#held = "";
    return text;
  }
}

interface Asked {
  readonly input: string | readonly Message[];
  readonly param: "messages" | "prompt";
  readonly max?: number;
  readonly n: number;
  readonly stops: readonly string[];
  readonly logprobs: boolean;
  readonly options: WriteOptions;
}

function number(body: Body, name: string, least: number, most: number): number | undefined {
  if (!body.has(name)) return undefined;
  const value = body.any(name);
  if (typeof value === "number" && value >= least && value <= most) return value;
  throw invalid(name, `${name} must be a number from ${least} to ${most}`);
}

function messagesOf(body: Body, limits: Limits): readonly Message[] {
  return body.list("messages", limits.inputs).map((message, i) => {
    const { role, content } = (message ?? {}) as { role?: unknown; content?: unknown };
    if (typeof role !== "string")
      throw invalid(`messages[${i}].role`, `messages[${i}].role must be a string`, "invalid_type");
    const parts = Array.isArray(content) ? content : undefined;
    const text = parts?.map((part) => {
      if (part?.type !== "text" || typeof part.text !== "string")
        throw invalid(`messages[${i}].content`, "only parts of text are taken", "unsupported_content");
      return part.text as string;
    });
    if (!text && content != null && typeof content !== "string")
      throw invalid(
        `messages[${i}].content`,
        `messages[${i}].content must be a string or parts of text`,
        "invalid_type",
      );
    return { ...(message as Message), content: text ? text.join("") : (content ?? "") };
  });
}

/** The members that both APIs have. */
function asked(body: Body, limits: Limits, chat: boolean): Asked {
  for (const name of REFUSED) {
    const value = body.has(name) ? body.any(name) : undefined;
    const idle = value === undefined || value === false || value === "none" || (Array.isArray(value) && !value.length);
    if (!idle && !(name === "best_of" && value === 1))
      throw invalid(name, `${name} is not supported`, "unsupported_parameter");
  }
  const temperature = number(body, "temperature", 0, 2);
  const top_p = number(body, "top_p", 0, 1);
  const seed = body.has("seed") ? body.any("seed") : undefined;
  if (seed !== undefined && !Number.isSafeInteger(seed))
    throw invalid("seed", "seed must be a whole number", "invalid_type");
  const stop = body.has("stop") ? body.any("stop") : [];
  const stops = typeof stop === "string" ? [stop] : stop;
  if (!Array.isArray(stops) || stops.length > 4 || stops.some((s) => typeof s !== "string" || !s))
    throw invalid("stop", "stop must be a string, or up to four of them");
  if (chat && (number(body, "top_logprobs", 0, 20) ?? 0) > 0)
    throw invalid("top_logprobs", "top_logprobs is not supported but for 0", "unsupported_parameter");
  if (!chat && (number(body, "logprobs", 0, 5) ?? 0) > 1)
    throw invalid("logprobs", "logprobs beyond 1 is not supported", "unsupported_parameter");
  const n = body.count("n") ?? 1;
  if (n > CHOICES) throw invalid("n", `n must be at most ${CHOICES}`);
  const drawn = temperature !== 0 && (temperature !== undefined || top_p !== undefined || seed !== undefined);
  const options: WriteOptions = {
    ...(temperature === 0 ? { do_sample: false } : temperature !== undefined && { temperature }),
    ...(drawn && { do_sample: true, top_k: body.count("top_k") ?? 0, ...(top_p !== undefined && { top_p }) }),
    ...(drawn && seed !== undefined && { seed: Math.abs(seed as number) }),
    presence_penalty: number(body, "presence_penalty", -2, 2),
    frequency_penalty: number(body, "frequency_penalty", -2, 2),
    ...(body.has("response_format") && { response_format: body.any("response_format") as ResponseFormat }),
    ...(body.has("regex") && { regex: body.string("regex") }),
    ...(body.has("chat_template_kwargs") && {
      chat_template_kwargs: body.any("chat_template_kwargs") as object as never,
    }),
  };
  const max = chat
    ? (body.count("max_completion_tokens") ?? body.count("max_tokens"))
    : (body.count("max_tokens") ?? 16);
  const logprobs = chat ? body.flag("logprobs", false) : body.has("logprobs");
  const input = chat ? messagesOf(body, limits) : body.string("prompt");
  return { input, param: chat ? "messages" : "prompt", max, n, stops, logprobs, options };
}

/** Texts and tokens as they come from several choices at once, for one reader who may be slower. */
class Channel<T> {
  readonly #waiting: T[] = [];
  #wake: (() => void) | undefined;
  #full: (() => void)[] = [];
  #closed = false;
  #error: unknown;

  /** Waits while the reader is far behind. Says whether there still is one. */
  async put(value: T): Promise<boolean> {
    this.#waiting.push(value);
    this.#wake?.();
    if (this.#waiting.length > 64 && !this.#closed)
      await new Promise<void>((go) => {
        this.#full.push(go);
      });
    return !this.#closed;
  }

  close(error?: unknown): void {
    this.#closed = true;
    this.#error = error;
    this.#wake?.();
    for (const go of this.#full.splice(0)) go();
  }

  /** The next value; undefined at the end. */
  async take(): Promise<T | undefined> {
    while (!this.#waiting.length) {
      if (this.#error !== undefined) throw this.#error;
      if (this.#closed) return undefined;
      await new Promise<void>((go) => {
        this.#wake = go;
      });
    }
    if (this.#waiting.length < 32) for (const go of this.#full.splice(0)) go();
    return this.#waiting.shift();
  }
}

interface Event {
  readonly index: number;
  readonly text: string;
  readonly tokens: readonly WrittenToken[];
  readonly finish?: "stop" | "length";
}

const failure = (error: unknown): ApiError =>
  error instanceof QueueFullError
    ? new ApiError(429, `${error.message}: try again later`, "queue_full", null, {
        "Retry-After": `${error.retry_after}`,
      })
    : apiError(error);

/** https://platform.openai.com/docs/api-reference/chat and /completions, whole or as server-sent events. */
export const completions =
  (models: Models<GenerationModel>, limits: Limits, kind: "chat" | "text") => async (c: Context<Env>) => {
    const shape = kind === "chat" ? CHAT : TEXT;
    const body = await Body.of(c);
    body.optional("user");
    const model = models.get(body.optional("model"));
    const streams = body.flag("stream", false);
    const { include_usage } = (body.has("stream_options") ? body.any("stream_options") : {}) as {
      include_usage?: unknown;
    };
    const { input, param, max, n, stops, logprobs, options } = asked(body, limits, kind === "chat");
    few("n", new Array(n), limits.inputs);
    const size = await model.measure(input, max, options, param);

    // A stream outlives the handler, and with it what ends other requests: this one ends when the client leaves, or nothing moves.
    const control = new AbortController();
    const gone = c.req.raw.signal;
    const leave = () => control.abort(gone.reason);
    gone?.addEventListener("abort", leave, { once: true });
    if (gone?.aborted) leave();
    let timer: ReturnType<typeof setTimeout> | undefined;
    const alive = () => {
      clearTimeout(timer);
      timer = setTimeout(
        () => control.abort(new ApiError(504, `nothing came for ${limits.time} ms`, "timeout")),
        limits.time,
      );
    };
    alive();

    const events = new Channel<Event>();
    let completion = 0;
    const one = async (index: number) => {
      const held = new Stops(stops);
      let tokens: WrittenToken[] = [];
      let waits = "";
      const each = async (token: WrittenToken) => {
        alive();
        completion++;
        const { text, stopped } = held.push(token.text);
        if (logprobs) tokens.push(token);
        waits += text;
        if (!waits) return !stopped;
        const read = await events.put({ index, text: waits, tokens });
        [waits, tokens] = ["", []];
        return read && !stopped;
      };
      const own = options.seed === undefined ? options : { ...options, seed: options.seed + index };
      const ended = await model.write(input, size, own, each, control.signal);
      await events.put({ index, text: waits + held.end(), tokens, finish: ended ? "stop" : "length" });
    };
    const all = Promise.all(Array.from({ length: n }, (_, index) => one(index)));
    all.then(
      () => events.close(),
      (error) => {
        control.abort(error); // the other choices end too
        events.close(gone?.aborted ? error : control.signal.reason instanceof ApiError ? control.signal.reason : error);
      },
    );
    const over = () => {
      clearTimeout(timer);
      gone?.removeEventListener("abort", leave);
    };
    const about = {
      id: `${shape.id}-${c.get("requestId")}`,
      created: Math.floor(Date.now() / 1000),
      model: model.name,
    };
    const usage = () => ({
      prompt_tokens: size.prompt,
      completion_tokens: completion,
      total_tokens: size.prompt + completion,
    });

    let first: Event | undefined;
    try {
      // What goes wrong before the first token has a status of its own.
      first = await events.take();
      if (!streams) {
        const found = Array.from({ length: n }, () => ({ text: "", tokens: [] as WrittenToken[], finish: "stop" }));
        for (let event = first; event; event = await events.take()) {
          const choice = found[event.index];
          choice.text += event.text;
          choice.tokens.push(...event.tokens);
          if (event.finish) choice.finish = event.finish;
        }
        over();
        const choices = found.map(({ text, tokens, finish }, index) => ({
          index,
          ...shape.whole(text, tokens),
          finish_reason: finish,
        }));
        return c.json({ ...about, object: shape.object, choices, usage: usage() });
      }
    } catch (error) {
      over();
      throw error;
    }

    const object = kind === "chat" ? `${shape.object}.chunk` : shape.object;
    const begun = new Set<number>();
    return streamSSE(c, async (stream) => {
      stream.onAbort(() => control.abort());
      const send = (data: object) => stream.writeSSE({ data: JSON.stringify(data) });
      try {
        for (let event = first; event; event = await events.take()) {
          const { index, text, tokens, finish } = event;
          alive();
          if (text || tokens.length || !begun.has(index)) {
            const choice = { index, ...shape.chunk(text, tokens, !begun.has(index)), finish_reason: null };
            await send({ ...about, object, choices: [choice], ...(include_usage === true && { usage: null }) });
            begun.add(index);
          }
          if (finish) {
            const last = kind === "chat" ? { delta: {} } : { text: "", logprobs: null };
            const choices = [{ index, ...last, finish_reason: finish }];
            await send({ ...about, object, choices, ...(include_usage === true && { usage: null }) });
          }
        }
        if (include_usage === true) await send({ ...about, object, choices: [], usage: usage() });
        await stream.writeSSE({ data: "[DONE]" });
      } catch (error) {
        await send(failure(error).body);
      } finally {
        over();
      }
    });
  };
