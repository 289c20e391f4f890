import type { Config } from "../format/config.ts";
import { firstToken, layerNorm, secondToken } from "../nn/blocks.ts";
import { classifier } from "../nn/heads.ts";
import { imageGrid } from "../nn/patches.ts";
import type { PatchGrid } from "../runtime/images.ts";
import type { Architecture } from "./architecture.ts";
import { ofImages, vitBody } from "./vit.ts";

/** The Audio Spectrogram Transformer (arXiv:2104.01778): DeiT over a spectrogram, whose patches overlap. */
export const audioSpectrogram: Architecture = {
  prefix: "audio_spectrogram_transformer",
  ...ofImages(spectrogramGrid),
  body(g, config, at) {
    const body = vitBody(g, config, at, spectrogramGrid(config), ["cls_token", "distillation_token"]);
    const { last_hidden_state: x } = body;
    return { ...body, pooler_output: g.add(firstToken(g, x, 0.5), secondToken(g, x, 0.5)) };
  },
  heads: {
    AudioClassification(g, config, { pooler_output }) {
      const eps = config.number("layer_norm_eps", { max: 1, default: 1e-12 });
      return classifier(g, config, layerNorm(g, "classifier.layernorm", pooler_output!, eps), "classifier.dense");
    },
  },
};

function spectrogramGrid(config: Config): PatchGrid {
  const image: [number, number] = [
    config.int("num_mel_bins", { default: 128 }),
    config.int("max_length", { default: 1024 }),
  ];
  const stride: [number, number] = [
    config.int("frequency_stride", { default: 10 }),
    config.int("time_stride", { default: 10 }),
  ];
  return imageGrid(config, { input: "input_values", channels: 1, image, stride, tokens: 2, interpolate: "never" });
}
