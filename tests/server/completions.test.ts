import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { pipeline, type TextGeneration } from "../../src/host/node.ts";
import { Stops } from "../../src/server/completions.ts";
import { api, type Writer } from "../../src/server/index.ts";

const folder = fileURLToPath(new URL("../fixtures/writing/gpt2", import.meta.url));
let generate: TextGeneration;
beforeAll(async () => {
  generate = await pipeline("text-generation", folder);
});
afterAll(() => generate.dispose());

const app = api({ models: {}, generators: { tiny: async () => generate } });
const json = { "content-type": "application/json" };
const ask = (path: string, body: object, to = app, init: RequestInit = {}) =>
  to.request(path, { method: "POST", headers: json, body: JSON.stringify(body), ...init });
const chat = (body: object) => ask("/v1/chat/completions", { model: "tiny", max_tokens: 8, ...body });
const text = (body: object) => ask("/v1/completions", { model: "tiny", ...body });

const messages = [{ role: "user", content: "Who wrote the letter?" }];

interface Chunk {
  choices: {
    index: number;
    text: string;
    delta: { role?: string; content?: string };
    finish_reason: string | null;
  }[];
  usage?: unknown;
}

/** The JSON of server-sent events, checked to be those alone, and that [DONE] is the last. */
function events(body: string): Chunk[] {
  const blocks = body.split("\n\n").filter(Boolean);
  expect(blocks.pop()).toBe("data: [DONE]");
  return blocks.map((block) => {
    expect(block).toMatch(/^data: \{.*\}$/);
    return JSON.parse(block.slice(6));
  });
}

describe("/v1/chat/completions", () => {
  it("answers in the shape that OpenAI documents, what the pipeline answers", async () => {
    const body = await (await chat({ messages, temperature: 0 })).json();
    const [{ generated_text }] = await generate(messages, {
      max_new_tokens: 8,
      do_sample: false,
      return_full_text: false,
    });
    const prompt = (await generate.encode(messages)).length;
    const made =
      (await generate.model.generate({ input_ids: [await generate.encode(messages)] }, { max_new_tokens: 8 }))[0]
        .length - prompt;
    expect(body).toEqual({
      id: expect.stringMatching(/^chatcmpl-/),
      object: "chat.completion",
      created: expect.any(Number),
      model: "tiny",
      choices: [
        {
          index: 0,
          message: { role: "assistant", content: generated_text, refusal: null },
          logprobs: null,
          finish_reason: made < 8 ? "stop" : "length",
        },
      ],
      usage: { prompt_tokens: prompt, completion_tokens: made, total_tokens: prompt + made },
    });
  });

  it("streams the same in pieces", async () => {
    const options = { messages, temperature: 1.3, seed: 5, max_tokens: 20, n: 3 };
    const whole = await (await chat(options)).json();
    const response = await chat({ ...options, stream: true, stream_options: { include_usage: true } });
    expect(response.headers.get("content-type")).toContain("text/event-stream");
    const all = events(await response.text());
    const last = all.pop();
    expect(last).toMatchObject({ object: "chat.completion.chunk", choices: [], usage: whole.usage });
    for (const choice of whole.choices) {
      const own = all.flatMap((e) => e.choices).filter((c) => c.index === choice.index);
      expect(own[0].delta.role).toBe("assistant");
      expect(own.map((c) => c.delta.content ?? "").join("")).toBe(choice.message.content);
      expect(own.map((c) => c.finish_reason).filter(Boolean)).toEqual([choice.finish_reason]);
    }
    expect(new Set(whole.choices.map((c: { message: { content: string } }) => c.message.content)).size).toBeGreaterThan(
      1,
    );
    for (const e of all) expect(e).toMatchObject({ object: "chat.completion.chunk", model: "tiny", usage: null });
  });

  it("keeps to a JSON Schema, and says logprobs", async () => {
    const schema = {
      type: "object",
      properties: { ok: { type: "boolean" }, n: { type: "integer", minimum: 1, maximum: 9 } },
      required: ["ok", "n"],
      additionalProperties: false,
    };
    const response_format = { type: "json_schema", json_schema: { name: "answer", strict: true, schema } };
    const body = await (await chat({ messages, response_format, seed: 3, max_tokens: 30, logprobs: true })).json();
    const { message, logprobs, finish_reason } = body.choices[0];
    expect(JSON.parse(message.content)).toEqual({ ok: expect.any(Boolean), n: expect.any(Number) });
    expect(finish_reason).toBe("stop");
    expect(logprobs.content.map((t: { token: string }) => t.token).join("")).toBe(message.content);
    for (const t of logprobs.content) expect(t.logprob).toBeLessThanOrEqual(0);
  });

  it.each([
    [{ messages: [] }, 400, "empty_array"],
    [{ messages: "hi" }, 400, "invalid_type"],
    [{ messages: [{ content: "x" }] }, 400, "invalid_type"],
    [{ messages, temperature: 3 }, 400, "invalid_value"],
    [{ messages, max_tokens: 100_000 }, 400, "context_length_exceeded"],
    [{ messages, tools: [{}] }, 400, "unsupported_parameter"],
    [{ messages, top_logprobs: 3, logprobs: true }, 400, "unsupported_parameter"],
    [{ messages, n: 1000 }, 400, "invalid_value"],
    [{ messages, model: "other" }, 404, "model_not_found"],
    [
      { messages, response_format: { type: "json_schema", json_schema: { schema: { not: {} } } } },
      422,
      "unprocessable_input",
    ],
    [{ messages, stop: [""] }, 400, "invalid_value"],
    [{ messages: [{ role: "user", content: [{ type: "image_url" }] }] }, 400, "unsupported_content"],
  ])("refuses %j with %i", async (body, status, code) => {
    for (const stream of [false, true]) {
      const response = await chat({ ...body, stream });
      expect(response.status).toBe(status);
      expect((await response.json()).error).toMatchObject({ code, message: expect.any(String) });
    }
  });
});

describe("/v1/completions", () => {
  it("goes on with a text, 16 tokens unless told", async () => {
    const body = await (await text({ prompt: "The light", temperature: 0 })).json();
    const [{ generated_text }] = await generate("The light", { max_new_tokens: 16, return_full_text: false });
    expect(body).toMatchObject({
      object: "text_completion",
      choices: [{ index: 0, text: generated_text, logprobs: null }],
    });
    expect(body.id).toMatch(/^cmpl-/);
  });

  it("ends before a stop string, which may come in pieces", async () => {
    const [{ generated_text }] = await generate("The light", {
      max_new_tokens: 30,
      temperature: 1.2,
      seed: 2,
      return_full_text: false,
    });
    const stop = generated_text.slice(9, 12);
    const options = {
      prompt: "The light",
      temperature: 1.2,
      seed: 2,
      max_tokens: 30,
      stop: [stop, "never to be seen"],
    };
    const body = await (await text(options)).json();
    expect(body.choices[0]).toMatchObject({
      text: generated_text.slice(0, generated_text.indexOf(stop)),
      finish_reason: "stop",
    });
    const all = events(await (await text({ ...options, stream: true })).text());
    expect(all.map((e) => e.choices[0].text).join("")).toBe(body.choices[0].text);
  });
});

describe("the queue", () => {
  /** Writes a token whenever it is let. */
  function slow() {
    const state = { running: 0, most: 0, written: 0, ended: 0, go: [] as (() => void)[] };
    const writer = {
      model: generate.model,
      tokenizer: generate.tokenizer,
      encode: async () => [1, 2, 3],
      async *stream(
        _: unknown,
        { max_new_tokens = 4, signal }: { max_new_tokens?: number; signal?: AbortSignal } = {},
      ) {
        state.running++;
        state.most = Math.max(state.most, state.running);
        try {
          for (let i = 0; i < max_new_tokens; i++) {
            if (signal?.aborted) throw Object.assign(new Error("gone"), { name: "AbortError" });
            await new Promise<void>((go, stop) => {
              state.go.push(go);
              signal?.addEventListener("abort", () => stop(Object.assign(new Error("gone"), { name: "AbortError" })));
            });
            state.written++;
            yield { id: 5, text: `${i} `, logprob: -1 };
          }
        } finally {
          state.running--;
          state.ended++;
        }
      },
    };
    const let_go = setInterval(() => {
      for (const go of state.go.splice(0)) go();
    }, 2);
    return { state, writer: writer as unknown as Writer, stop: () => clearInterval(let_go) };
  }

  it("writes as many texts at a time as it may, and refuses with 429 those it has no room for", async () => {
    const { state, writer, stop } = slow();
    const busy = api({ models: {}, generators: { slow: async () => writer }, writers: 2, limits: { queue: 3 } });
    const all = await Promise.all(
      Array.from({ length: 9 }, () => ask("/v1/completions", { prompt: "a", max_tokens: 5, stream: true }, busy)),
    );
    const refused = all.filter((r) => r.status === 429);
    expect(refused.length).toBeGreaterThan(0);
    for (const r of refused) {
      expect((await r.json()).error).toMatchObject({ type: "rate_limit_error", code: "queue_full" });
      expect(Number(r.headers.get("retry-after"))).toBeGreaterThanOrEqual(1);
    }
    for (const r of all.filter((r) => r.status === 200))
      expect(
        events(await r.text())
          .map((e) => e.choices[0].text)
          .join(""),
      ).toBe("0 1 2 3 4 ");
    expect(state.most).toBe(2);
    stop();
  });

  it("ends what a client who leaves has asked for", async () => {
    const { state, writer, stop } = slow();
    const left = api({ models: {}, generators: { slow: async () => writer } });
    const control = new AbortController();
    const response = await ask("/v1/completions", { prompt: "a", max_tokens: 120, stream: true }, left, {
      signal: control.signal,
    });
    const reader = response.body!.getReader();
    await reader.read();
    await reader.cancel();
    control.abort();
    await expect.poll(() => state.ended).toBe(1);
    expect(state.written).toBeLessThan(120);
    const whole = new AbortController();
    const pending = ask("/v1/completions", { prompt: "a", max_tokens: 120 }, left, { signal: whole.signal });
    await expect.poll(() => state.running).toBe(1);
    whole.abort();
    expect((await pending).status).toBe(499);
    await expect.poll(() => state.ended).toBe(2);
    stop();
  });
});

describe("stop strings", () => {
  it("cut a text where they begin, however it comes in pieces", () => {
    const letters = fc.string({ unit: fc.constantFrom("a", "b", "\n"), maxLength: 30 });
    const stops = fc.array(fc.string({ unit: fc.constantFrom("a", "b", "\n"), minLength: 1, maxLength: 4 }), {
      maxLength: 3,
    });
    fc.assert(
      fc.property(fc.array(letters, { maxLength: 8 }), stops, (pieces, stops) => {
        const held = new Stops(stops);
        let [text, stopped] = ["", false];
        for (const piece of pieces) {
          if (stopped) break;
          const next = held.push(piece);
          text += next.text;
          stopped = next.stopped;
        }
        if (!stopped) text += held.end();
        const whole = pieces.join("");
        // The first that is complete ends the text: a later one may have begun before it.
        if (!stops.some((s) => whole.includes(s))) expect([text, stopped]).toEqual([whole, false]);
        else {
          expect(stopped).toBe(true);
          expect(whole.startsWith(text)).toBe(true);
          expect(stops.some((s) => whole.startsWith(s, text.length))).toBe(true);
          expect(stops.some((s) => text.includes(s))).toBe(false);
        }
      }),
      { numRuns: 2000, seed: 4 },
    );
  });
});
