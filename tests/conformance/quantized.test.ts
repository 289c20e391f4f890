import { readdirSync, readFileSync } from "node:fs";
import { expect, it } from "vitest";
import { compare } from "./compare.ts";

const folder = new URL("../fixtures/models/", import.meta.url);
const cases = readdirSync(folder);
const familyOf = (name: string): string =>
  JSON.parse(readFileSync(new URL(`${name}/config.json`, folder), "utf8")).model_type;

/**
 * The largest difference to transformers' f32 over an output's largest number, by family: today's figures. These models are tiny (16 to 64
 * columns, random weights), which is where rounding shows most; matrices of fewer than 32 rows stay f32. A change that
 * makes one of them worse by a tenth changes this table on purpose, or is a mistake.
 */
const FIGURES: { readonly [dtype: string]: { readonly [family: string]: number } } = {
  q8: {
    albert: 0.39,
    "audio-spectrogram-transformer": 0.031,
    bert: 0.16,
    camembert: 0.084,
    clip: 0.094,
    clip_text_model: 0.031,
    clip_vision_model: 0.093,
    "deberta-v2": 0.14,
    deit: 0.05,
    dinov2: 0.067,
    distilbert: 0.064,
    electra: 0.075,
    modernbert: 0.57,
    mpnet: 0.13,
    nomic_bert: 0.11,
    roberta: 0.14,
    siglip: 0.029,
    siglip_text_model: 0.063,
    siglip_vision_model: 0.049,
    vit: 0.081,
    "xlm-roberta": 0.078,
  },
  "q8-exact": {
    albert: 0.097,
    "audio-spectrogram-transformer": 0.02,
    bert: 0.053,
    camembert: 0.05,
    clip: 0.034,
    clip_text_model: 0.023,
    clip_vision_model: 0.028,
    "deberta-v2": 0.061,
    deit: 0.025,
    dinov2: 0.045,
    distilbert: 0.05,
    electra: 0.033,
    modernbert: 0.2,
    mpnet: 0.25,
    nomic_bert: 0.1,
    roberta: 0.064,
    siglip: 0.021,
    siglip_text_model: 0.042,
    siglip_vision_model: 0.029,
    vit: 0.048,
    "xlm-roberta": 0.034,
  },
  q4: {
    albert: 3.1,
    "audio-spectrogram-transformer": 0.25,
    bert: 1.9,
    camembert: 2,
    clip: 1.6,
    clip_text_model: 0.25,
    clip_vision_model: 0.59,
    "deberta-v2": 4.1,
    deit: 0.37,
    dinov2: 0.41,
    distilbert: 1.3,
    electra: 2,
    modernbert: 1.3,
    mpnet: 2,
    nomic_bert: 1.5,
    roberta: 2.3,
    siglip: 0.18,
    siglip_text_model: 0.37,
    siglip_vision_model: 0.38,
    vit: 0.34,
    "xlm-roberta": 1.7,
  },
};

it.each(["q8", "q8-exact", "q4"] as const)("%s differs by no more than it did", async (dtype) => {
  const worst: { [family: string]: number } = {};
  for (const name of cases) {
    const family = familyOf(name);
    worst[family] = Math.max(worst[family] ?? 0, (await compare(new URL(`${name}/`, folder), { dtype })).worst);
  }
  for (const [family, figure] of Object.entries(worst))
    expect(figure, family).toBeLessThan(1.1 * FIGURES[dtype][family]);
});
