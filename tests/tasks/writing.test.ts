import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { type Pipelines, pipeline } from "../../src/host/node.ts";
import { supportedModels } from "../../src/models/registry.ts";
import type { TextGeneration } from "../../src/tasks/textGeneration.ts";

/** What transformers answers: tests/oracle/writing.py. */
const root = fileURLToPath(new URL("../fixtures/writing/", import.meta.url));
const supported: readonly string[] = await supportedModels();

interface Call {
  task: string;
  inputs: string | string[];
  options: Record<string, unknown>;
  output: unknown;
}

const names = readdirSync(root).filter((name) => existsSync(`${root}${name}/expected.json`));

describe.each(names)("%s", (name) => {
  const { model_type } = JSON.parse(readFileSync(`${root}${name}/config.json`, "utf8"));
  if (!supported.includes(model_type)) return void test.skip(`${model_type} is not supported`);
  const { calls } = JSON.parse(readFileSync(`${root}${name}/expected.json`, "utf8")) as { calls: Call[] };
  test.each(calls)("$task of $inputs with $options", async ({ task, inputs, options, output }) => {
    const [, kind, src_lang, tgt_lang] = /^(translation)_(\w+)_to_(\w+)$/.exec(task) ?? [];
    const run = await pipeline((kind ?? task) as keyof Pipelines, `${root}${name}`);
    const o = kind ? { ...options, src_lang, tgt_lang } : options;
    try {
      expect(await (run as never as (i: unknown, o: object) => unknown)(inputs, o)).toEqual(output);
    } finally {
      run.dispose();
    }
  });
});

describe("text-generation", () => {
  const folder = `${root}gpt2`;

  test("a stream has the text that the call gives", async () => {
    using generate = await pipeline("text-generation", folder);
    for (const input of ["The light", "東京は日本の", [{ role: "user", content: "Who are you?" }]]) {
      const options = { max_new_tokens: 24, temperature: 1.5, seed: 7, return_full_text: false } as const;
      const [{ generated_text }] = await (generate as (i: typeof input, o: object) => ReturnType<TextGeneration>)(
        input,
        options,
      );
      let text = "";
      for await (const token of generate.stream(input, options)) text += token.text;
      expect(text).toBe(generated_text);
    }
  });

  test("a batch gives what each gives alone", async () => {
    using generate = await pipeline("text-generation", folder);
    const texts = Array.from({ length: 11 }, (_, i) => `${"the light ".repeat(i)}was`);
    const options = { max_new_tokens: 6, num_beams: 2 };
    const each = await Promise.all(texts.map((text) => generate(text, options)));
    expect(await generate(texts, options)).toEqual(each);
  });

  test.each([1, 2, 3, 4])("what a schema constrains parses, drawn with seed %i", async (seed) => {
    using generate = await pipeline("text-generation", folder);
    const schema = {
      type: "object",
      properties: { name: { type: "string", maxLength: 10 }, ok: { type: "boolean" } },
      required: ["name", "ok"],
    };
    const options = {
      response_format: { type: "json_schema", json_schema: { schema } },
      max_new_tokens: 40,
      return_full_text: false,
      temperature: 2,
      seed,
    } as const;
    const [{ generated_text }] = await generate("Answer:", options);
    expect(JSON.parse(generated_text)).toEqual({ name: expect.any(String), ok: expect.any(Boolean) });
    const texts = await generate(["a", "b c"], { ...options, response_format: undefined, regex: /\d{3}-[a-f]+!/ });
    for (const [{ generated_text }] of texts) expect(generated_text).toMatch(/^\d{3}-[a-f]+!$/);
  });

  test("what makes no sense is refused by name, and the pipeline goes on", async () => {
    using generate = await pipeline("text-generation", folder);
    const refused = (input: unknown, o: object) => expect((generate as never as (i: unknown, o: object) => Promise<unknown>)(input, o)).rejects; // biome-ignore format: one
    await refused("a", { no_such_option: 1 }).toThrow("no_such_option");
    await refused("a", { regex: "(?=a)" }).toThrow("regex");
    await refused("", { add_special_tokens: false }).toThrow("no token");
    await refused([{ content: "no role" }], {}).toThrow("role");
    await refused(7, {}).toThrow("a text");
    await refused([{ role: "user", content: "a" }], { chat_template: "{{ raise_exception('no, thanks') }}" }).toThrow("no, thanks"); // biome-ignore format: one
    expect((await generate("a", { max_new_tokens: 1 })).length).toBe(1);
  });

  const stories = fileURLToPath(new URL("../../../shared/models/stories260K", import.meta.url));
  test.skipIf(!existsSync(stories))("stories260K (where ../shared is) goes on with a story", async () => {
    using generate = await pipeline("text-generation", stories);
    const [{ generated_text }] = await generate("Once upon a time", { max_new_tokens: 12 });
    expect(generated_text).toBe("Once upon a time, there was a little girl named Lily. She");
  });
});
