import { existsSync, readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, test } from "vitest";
import { pipeline } from "../../src/host/node.ts";
import { supportedModels } from "../../src/models/registry.ts";
import { same } from "./same.ts";

/** What transformers answers about images and sounds: tests/oracle/seeing.py, whose formulas these are. */
const root = fileURLToPath(new URL("../fixtures/seeing/", import.meta.url));
const supported: readonly string[] = await supportedModels();

function image(n: number, width: number, height: number) {
  const data = new Uint8Array(width * height * 3);
  for (let y = 0, at = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < 3; c++) data[at++] = x * (3 + n) + y * (5 - n) + c * 40 + Math.floor((x * y) / (7 + n));
  return { data, width, height, channels: 3 };
}
const IMAGES = [image(0, 40, 30), image(1, 24, 51), image(2, 64, 64)];
const sound = (n: number, seconds: number) =>
  Float32Array.from({ length: Math.floor(16000 * seconds) }, (_, i) => {
    return ((i * i * (n + 3)) % 211) / 211 - 0.5 + 0.4 * Number((i * (7 + 4 * n)) % 160 < 80);
  });

interface Call {
  task: "image-classification";
  images?: number | number[];
  sounds?: number[] | number[][];
  labels?: string[];
  options: object;
  output: unknown;
}
const load = (task: string, folder: string) =>
  pipeline(task as Call["task"], folder) as unknown as Promise<{
    (input: unknown, ...more: unknown[]): Promise<unknown>;
    stream(input: unknown, o: object): AsyncIterable<{ text: string }>;
    dispose(): void;
  }>;
const names = existsSync(root) ? readdirSync(root) : [];

describe.each(names)("%s", (name) => {
  const { model_type } = JSON.parse(readFileSync(`${root}${name}/config.json`, "utf8"));
  if (!supported.includes(model_type)) return void test.skip(`${model_type} is not supported`);
  const { calls } = JSON.parse(readFileSync(`${root}${name}/expected.json`, "utf8")) as { calls: Call[] };
  const inputOf = ({ images, sounds }: Call) => {
    if (sounds) {
      const all = ([sounds[0]].flat().length > 1 ? sounds : [sounds]) as number[][];
      const made = all.map(([n, seconds]) => sound(n, seconds));
      return all === sounds ? made : made[0];
    }
    return Array.isArray(images) ? images.map((i) => IMAGES[i]) : IMAGES[images!];
  };

  test.each(calls)("$task with $options", async (call) => {
    const run = await load(call.task, root + name);
    try {
      const more = call.labels ? [call.labels, call.options] : [call.options];
      same(await run(inputOf(call), ...more), call.output);
    } finally {
      run.dispose();
    }
  });

  const [one] = calls.filter(({ task }) => /image-to-text|speech/.test(task));
  test.runIf(one)("a stream has the text that the call gives", async () => {
    const run = await load(one.task, root + name);
    let text = "";
    for await (const token of run.stream(inputOf(one), one.options)) text += token.text;
    const [{ generated_text, text: said }] = [one.output].flat() as { generated_text?: string; text?: string }[];
    expect(text.trim()).toBe((generated_text ?? said)!.trim());
    run.dispose();
  });
});

test.runIf(names.includes("whisper") && supported.includes("whisper"))(
  "what speech recognition lacks is refused by name",
  async () => {
    const run = await load("automatic-speech-recognition", `${root}whisper`);
    const refused = (input: unknown, o: object) => expect(run(input, o)).rejects;
    await refused(sound(0, 1), { return_timestamps: true }).toThrow("return_timestamps");
    await refused(sound(0, 1), { language: "klingon" }).toThrow("language");
    await refused(sound(0, 1), { task: "sing" }).toThrow("task");
    await refused(sound(0, 2.5), { language: "en" }).toThrow("2.5 s");
    await refused("file.wav", {}).toThrow("samples");
    const english = await run(sound(0, 1), { language: "English", max_new_tokens: 4 });
    expect(english).toEqual(await run(sound(0, 1), { language: "en", max_new_tokens: 4 }));
    run.dispose();
  },
);
