import { writeFileSync } from "node:fs";
import fc from "fast-check";
import { describe, expect, it, test } from "vitest";
import { readWav } from "../../src/cli/wav.ts";
import { pipeline } from "../../src/host/node.ts";
import { folder, root, wattention } from "./run.ts";

const at = folder();
const models = `${root}tests/fixtures/`;
const gpt2 = `${models}writing/gpt2`;

describe("wattention generate", () => {
  it("goes on with a prompt, from wherever it comes", async () => {
    using generate = await pipeline("text-generation", gpt2);
    const [{ generated_text }] = await generate("The light", { max_new_tokens: 9 });
    expect(await wattention(["generate", gpt2, "The light", "-n", "9"])).toEqual({ code: 0, stdout: `${generated_text}\n`, stderr: "" }); // biome-ignore format: one
    const input = await wattention(["generate", "--model", gpt2, "-n", "9", "--json"], { input: "The light\n" });
    expect(JSON.parse(input.stdout)).toEqual({
      prompt: "The light",
      generated_text: generated_text.slice(9),
      tokens: 9,
    });
    const drawn = ["generate", gpt2, "The light", "-n", "30", "-t", "1.5", "--top-k", "0", "--seed", "3"];
    expect((await wattention(drawn.with(7, "5"))).stdout).toBe((await wattention(drawn.with(7, "5"))).stdout);
  });

  it("answers in the model's chat template", async () => {
    using generate = await pipeline("text-generation", gpt2);
    const messages = [
      { role: "system", content: "Be brief." },
      { role: "user", content: "Who?" },
    ];
    const [{ generated_text }] = await generate(messages, { max_new_tokens: 8, return_full_text: false });
    const { stdout } = await wattention(["generate", gpt2, "Who?", "--system", "Be brief.", "-n", "8"]);
    expect(stdout).toBe(`${generated_text}\n`);
  });

  it("keeps to a schema or a pattern", async () => {
    const file = at("schema.json");
    writeFileSync(file, JSON.stringify({ type: "object", properties: { a: { type: "integer" } }, required: ["a"] }));
    const { stdout } = await wattention(["generate", gpt2, "A:", "--schema", file, "-n", "40", "--json"]);
    expect(JSON.parse(JSON.parse(stdout).generated_text)).toEqual({ a: expect.any(Number) });
    expect((await wattention(["generate", gpt2, "A:", "--regex", " (yes|no)", "-n", "9"])).stdout).toMatch(
      /^A: (yes|no)\n$/,
    );
  });
});

describe("commands that write", () => {
  it("translate, summarize", async () => {
    const nllb = `${models}writing/nllb`;
    using run = await pipeline("translation", nllb);
    const [{ translation_text }] = await run("A text.", {
      src_lang: "eng_Latn",
      tgt_lang: "deu_Latn",
      max_new_tokens: 6,
    });
    const args = ["translate", nllb, "A text.", "--from", "eng_Latn", "--to", "deu_Latn", "-n", "6", "--json"];
    expect(JSON.parse((await wattention(args)).stdout)).toEqual([{ input: "A text.", translation_text }]);
    const odd = await wattention(args.with(6, "xyz_Latn"));
    expect([odd.code, odd.stderr]).toEqual([2, expect.stringContaining("tgt_lang")]);
    const t5 = await wattention(["summarize", `${models}writing/t5`, "--json"], { input: "One text.\nAnother.\n" });
    expect(JSON.parse(t5.stdout).map((r: { input: string }) => r.input)).toEqual(["One text.", "Another."]);
  });

  it("transcribe what a WAV file holds", async () => {
    const whisper = `${models}seeing/whisper`;
    const raw = Float32Array.from({ length: 16000 }, (_, i) => (i % 100 < 50 ? 0.25 : -0.25));
    writeFileSync(at("a.wav"), wav(raw, 16000, 1, 1, 16));
    using run = await pipeline("automatic-speech-recognition", whisper);
    const { text } = await run(raw, { language: "en", max_new_tokens: 5 });
    const args = ["transcribe", whisper, at("a.wav"), "--language", "en", "-n", "5", "--json"];
    expect(JSON.parse((await wattention(args)).stdout)).toEqual([{ input: at("a.wav"), text }]);
    expect((await wattention(["transcribe", whisper, `${root}package.json`])).stderr).toContain("is no WAV file");
  });

  it("recommend", async () => {
    const model = `${root}examples/demos/models/sasrec-ml1m`;
    using run = await pipeline("recommendation", model);
    const found = await run([1533, 2954], { top_k: 3, exclude: [10], exclude_seen: true });
    const { stdout } = await wattention(["recommend", model, "1533", "2954", "-k", "3", "--exclude", "10", "--json"]);
    expect(JSON.parse(stdout)).toEqual(found);
  });
});

/** A WAV file of one channel's samples, in each of `channels`. */
function wav(samples: Float32Array, rate: number, channels: number, kind: number, bits: number): Uint8Array {
  const width = bits / 8;
  const size = samples.length * channels * width;
  const bytes = new Uint8Array(44 + size);
  const view = new DataView(bytes.buffer);
  const text = (at: number, name: string) => bytes.set(new TextEncoder().encode(name), at);
  text(0, "RIFF");
  view.setUint32(4, 36 + size, true);
  text(8, "WAVEfmt ");
  view.setUint32(16, 16, true);
  view.setUint16(20, kind, true);
  view.setUint16(22, channels, true);
  view.setUint32(24, rate, true);
  view.setUint16(34, bits, true);
  text(36, "data");
  view.setUint32(40, size, true);
  for (const [i, x] of samples.entries())
    for (let c = 0; c < channels; c++) {
      const place = 44 + (i * channels + c) * width;
      if (kind === 3) bits === 32 ? view.setFloat32(place, x, true) : view.setFloat64(place, x, true);
      else if (bits === 8) view.setUint8(place, x * 128 + 128);
      else if (bits === 16) view.setInt16(place, x * 32768, true);
      else if (bits === 24) for (let k = 0; k < 3; k++) bytes[place + k] = ((x * 8388608) >> (8 * k)) & 255;
      else view.setInt32(place, x * 2147483648, true);
    }
  return bytes;
}

test("WAV files of every kind hold the samples that were put in", () => {
  const kinds = fc.constantFrom([1, 8], [1, 16], [1, 24], [1, 32], [3, 32], [3, 64]);
  const samples = fc.array(fc.integer({ min: -128, max: 127 }), { maxLength: 40 });
  fc.assert(
    fc.property(kinds, samples, fc.integer({ min: 1, max: 3 }), fc.nat(60), ([kind, bits], list, channels, cut) => {
      const put = Float32Array.from(list, (n) => n / 128);
      const bytes = wav(put, 22050, channels, kind, bits);
      const { raw, sampling_rate } = readWav(bytes, "a.wav");
      expect(sampling_rate).toBe(22050);
      expect(Array.from(raw, (x) => Math.round(x * 1e6))).toEqual(Array.from(put, (x) => Math.round(x * 1e6)));
      // Cut anywhere: fewer samples, or an error that names the file.
      try {
        expect(readWav(bytes.subarray(0, Math.min(cut, bytes.length)), "a.wav").raw.length).toBeLessThanOrEqual(
          raw.length,
        );
      } catch (error) {
        expect((error as Error).message).toMatch(/^a\.wav: /);
      }
    }),
    { numRuns: 300, seed: 5 },
  );
});
