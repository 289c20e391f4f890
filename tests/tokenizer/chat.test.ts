import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { InputError } from "../../src/errors.ts";
import type { Message } from "../../src/format/tokenizer/chat.ts";
import { Tokenizer } from "../../src/format/tokenizer.ts";
import { fixture } from "./fixtures.ts";

/** What tests/oracle/chat.py wrote. */
interface Expected {
  templates: { [name: string]: string };
  chats: { [name: string]: Message[] };
  options: object[];
  cases: { template: string; chat: string; options: number; text?: string; ids?: number[]; refused?: string }[];
}
const path = new URL("../fixtures/chat.json", import.meta.url);
const { templates, chats, options, cases } = JSON.parse(readFileSync(path, "utf8")) as Expected;
const { json } = fixture("bpe-gpt2");
const config = { bos_token: "<|endoftext|>", eos_token: "<|endoftext|>" };
const load = async (config: object) =>
  Object.assign(await Tokenizer.load(json, config), { chat: () => import("../../src/format/tokenizer/chat.ts") });
const tokenizer = await load(config);

describe.each(Object.keys(templates))("%s", (name) => {
  const own = cases.filter(({ template }) => template === name);
  test.each(own)("$chat with options $options", async ({ chat, options: o, text, ids, refused }) => {
    const call = { ...options[o], chat_template: templates[name] };
    const rendered = tokenizer.apply_chat_template(chats[chat], { ...call, tokenize: false });
    if (refused) return expect(rendered).rejects.toThrow(InputError);
    expect(await rendered).toBe(text);
    if (ids) expect(await tokenizer.apply_chat_template(chats[chat], call)).toEqual(ids);
  });
});

test("a folder's template is used, or the one of several that fits", async () => {
  const one = await load({ ...config, chat_template: templates.chatml });
  expect(one.has_chat_template).toBe(true);
  expect(await one.apply_chat_template(chats.one, { tokenize: false })).toContain("<|im_start|>user\nWho are you?");
  const chat_template = [
    { name: "default", template: "{{ messages[0].content }}" },
    { name: "tool_use", template: "tools: {{ tools | tojson }}" },
  ];
  const several = await load({ ...config, chat_template });
  expect(await several.apply_chat_template(chats.one, { tokenize: false })).toBe("Who are you?");
  expect(await several.apply_chat_template(chats.one, { tokenize: false, tools: [{}] })).toBe("tools: [{}]");
  expect(await several.apply_chat_template(chats.one, { tokenize: false, chat_template: "tool_use" })).toBe(
    "tools: null",
  );
});

test("what cannot be rendered is refused", async () => {
  expect(tokenizer.has_chat_template).toBe(false);
  await expect(tokenizer.apply_chat_template(chats.one)).rejects.toThrow("no chat template");
  await expect(tokenizer.apply_chat_template([], { chat_template: "x" })).rejects.toThrow(InputError);
  await expect(tokenizer.apply_chat_template(chats.one, { chat_template: "{% if %}" })).rejects.toThrow(InputError);
});
