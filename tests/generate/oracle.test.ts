/** transformers' processors, warpers and searches (tests/oracle/generation.py). */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { Config } from "../../src/format/config.ts";
import { Tokenizer } from "../../src/format/tokenizer.ts";
import { type GenerateOptions, settingsOf } from "../../src/generate/options.ts";
import { processorsOf } from "../../src/generate/processors.ts";
import { stops } from "../../src/generate/text.ts";
import { loadModel, type Model } from "../../src/host/node.ts";

interface Scores {
  options: GenerateOptions;
  ids: number[];
  prompt: number;
  padding: number;
  encoder_ids?: number[];
  scores: number[];
  /** null: -Infinity. */
  want: (number | null)[];
}

interface Stops {
  tokenizer: string;
  ids: number[];
  stop_strings: string[];
  /** Lengths at which it stops. */
  want: number[];
}

interface Search {
  model: string;
  options: GenerateOptions;
  input_ids: number[][];
  attention_mask?: number[][];
  want: number[][];
}

const fixture = (path: string) => new URL(`../fixtures/${path}`, import.meta.url);
const unzipped = (path: string) => JSON.parse(gunzipSync(readFileSync(fixture(path))).toString());
const {
  scores,
  stops: stopping,
  searches,
}: { scores: Scores[]; stops: Stops[]; searches: Search[] } = unzipped("generation.json.gz");

describe("scores", () => {
  const name = ({ max_length, ...options }: GenerateOptions) => JSON.stringify(options).slice(0, 100);
  it.each(scores.map((c, i) => [i, name(c.options), c] as const))("%i %s", async (_, _name, c) => {
    const settings = settingsOf(c.options, {}, new Config({}));
    const about = { ...c, max_length: settings.max_length(0) };
    const got = Float32Array.from(c.scores);
    for (const change of processorsOf(settings, about)) await change(c.ids, got);
    const places = (x: ArrayLike<number | null>) =>
      Array.from(x, (v, i) => (v === null || v === Number.NEGATIVE_INFINITY ? -1 : i)).filter((i) => i >= 0);
    expect(places(got)).toEqual(places(c.want));
    for (const [i, v] of c.want.entries())
      if (v !== null) expect(Math.abs(got[i] - v)).toBeLessThanOrEqual(2e-5 * Math.max(1, Math.abs(v)));
  });
});

it.each(["bpe-gpt2", "bpe-llama2"])("stop strings, %s", async (name) => {
  const { tokenizer: json, config } = unzipped(`tokenizers/${name}.json.gz`);
  const tokenizer = await Tokenizer.load(json, config);
  for (const { ids, stop_strings, want } of stopping.filter((c) => c.tokenizer === name)) {
    const settings = settingsOf({ stop_strings, tokenizer }, {}, new Config({}));
    const got = ids.map((_, i) => i + 1).filter((n) => n > 1 && stops(settings, ids.slice(0, n)));
    expect(got, JSON.stringify(stop_strings)).toEqual(want);
  }
});

describe("searches", () => {
  const models = new Map<string, Promise<Model>>();
  const modelOf = (name: string) => {
    const model = models.get(name) ?? loadModel(fileURLToPath(fixture(`models/${name}`)));
    models.set(name, model);
    return model;
  };
  afterAll(async () => {
    for (const model of models.values()) (await model).dispose();
  });
  it.each(searches.map((c, i) => [i, c.model, JSON.stringify(c.options), c] as const))(
    "%i %s %s",
    async (_i, name, _o, c) => {
      const model = await modelOf(name);
      const { options, input_ids, attention_mask, want } = c;
      expect(await model.generate({ input_ids, attention_mask }, options)).toEqual(want);
    },
  );
});
