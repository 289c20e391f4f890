import { ShapeError } from "../errors.ts";
import type { Config } from "../format/config.ts";
import type { Dims, Graph, Value } from "../graph/graph.ts";
import { Activation } from "../graph/op.ts";
import type { Batch, ModelInputs } from "../runtime/batch.ts";
import { bartLike } from "./bart.ts";

/** Frames for one position: the step of the second convolution. */
const STEP = 2;

const sizes = (config: Config) => ({
  mels: config.int("num_mel_bins", { default: 80 }),
  positions: config.int("max_source_positions", { default: 1500 }),
});

/** Two convolutions over time with GELU between and behind, the second one at every other frame, and learned positions. */
function embed(g: Graph, config: Config, at: string): Value {
  const { mels, positions } = sizes(config);
  const width = config.int("d_model");
  const frames = { offsets: g.input("frame_offsets", "B") };
  const convolution = (name: string, x: Value) =>
    g.activation(
      g.linear(x, g.weight(`${at}${name}.weight`, [width, x.cols / 3, 3]), g.weight(`${at}${name}.bias`, [width])),
      Activation.gelu,
    );
  const first = convolution("conv1", g.unfold(g.input("input_features", "R", "f32", mels), 3, 1, frames));
  const around = g.embed(g.input("frames", "T"), g.unfold(first, 3, 1, frames));
  const table = g.weight(`${at}embed_positions.weight`, [positions, width]);
  return g.add(convolution("conv2", around), g.embed(g.input("position_ids", "T"), table));
}

/** R: frames. */
function dimsOf(config: Config, B: number): Dims {
  const { positions } = sizes(config);
  return { T: B * positions, B, P: B * positions * positions, S: 0, R: B * STEP * positions };
}

/** input_features [B, mels, frames] as rows of frames. @throws ShapeError */
function layOut({ input_features }: ModelInputs, config: Config): Batch {
  const { mels, positions } = sizes(config);
  const dims = input_features?.dims ?? [];
  const B = dims[0];
  const frames = STEP * positions;
  if (dims.length !== 3 || !(B > 0) || dims[1] !== mels || dims[2] !== frames)
    throw new ShapeError("input_features", ["B", mels, frames], dims);
  const from = input_features!.data;
  if (from.length !== B * mels * frames) throw new ShapeError("input_features.data", [from.length], dims);
  const turned = new Float32Array(from.length);
  for (let b = 0, at = 0; b < B; b++)
    for (let t = 0; t < frames; t++)
      for (let m = 0; m < mels; m++) turned[at++] = Number(from[(b * mels + m) * frames + t]);
  const rows = Int32Array.from({ length: B * positions }, (_, i) => i);
  const heads = config.int("encoder_attention_heads");
  return {
    dims: dimsOf(config, B),
    length: positions,
    rows,
    offsets: Int32Array.from({ length: B + 1 }, (_, b) => b * positions),
    inputs: {
      input_features: turned,
      frames: rows.map((i) => i * STEP),
      frame_offsets: Int32Array.from({ length: B + 1 }, (_, b) => b * frames),
      position_ids: rows.map((i) => i % positions),
      offsets: Int32Array.from({ length: B + 1 }, (_, b) => b * positions),
      tap_offsets: Int32Array.from({ length: B }, (_, b) => b * heads * positions * positions),
    },
  };
}

/** Whisper (arXiv:2212.04356): BART with norms before, over spectrograms. */
export const whisper = bartLike({
  pre_norm: true,
  plain_keys: true,
  positions: { most: (config) => config.int("max_target_positions", { default: 448 }) },
  source: { embed, layOut, dims: dimsOf },
});
