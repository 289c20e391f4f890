import { InputError, ShapeError, UnsupportedOptionError } from "../errors.ts";
import type { Dims } from "../graph/graph.ts";
import type { TensorLike } from "../tensor.ts";
import type { Batch, ModelInputs } from "./batch.ts";

type Pair = readonly [height: number, width: number];

/** How a model cuts images (or spectrograms, whose height is frequency) into patches. */
export interface PatchGrid {
  readonly input: "pixel_values" | "input_values";
  readonly channels: number;
  /** The size that it was trained with, which its table of positions is for. */
  readonly image: Pair;
  readonly patch: Pair;
  /** Rows and columns from one patch to the next. */
  readonly stride: Pair;
  /** Class and distillation tokens, which stand before the patches. */
  readonly tokens: number;
  /** Positions of other sizes are interpolated: when the call says so, always, or never. */
  readonly interpolate: "asked" | "always" | "never";
  readonly heads: number;
}

/** Patches of an image of this size. */
export const gridOf = ({ patch, stride }: Pick<PatchGrid, "patch" | "stride">, [height, width]: Pair): Pair => [
  Math.floor((height - patch[0]) / stride[0]) + 1,
  Math.floor((width - patch[1]) / stride[1]) + 1,
];

/** Rows of the table that positions are read from: class tokens, patches, and one of zeros. */
export function positionRows(grid: PatchGrid): number {
  const [rows, columns] = gridOf(grid, grid.image);
  return grid.tokens + rows * columns + 1;
}

/** Dims of a run over images, of the size that the model was trained with unless they have `length` tokens. */
export function imageDims(grid: PatchGrid, batch: number, length = positionRows(grid) - 1): Dims {
  const R = length === positionRows(grid) - 1 ? 1 : length;
  return { T: batch * length, B: batch, P: batch * length * length, S: 0, R };
}

/** Weights of PyTorch's bicubic interpolation (align_corners false, A = -0.75) from `from` to `to` numbers: [to][from]. */
function bicubic(from: number, to: number): Float64Array[] {
  const near = (x: number) => (1.25 * x - 2.25) * x * x + 1;
  const far = (x: number) => ((-0.75 * x + 3.75) * x - 6) * x + 3;
  return Array.from({ length: to }, (_, i) => {
    const at = (from / to) * (i + 0.5) - 0.5;
    const first = Math.floor(at);
    const t = at - first;
    const row = new Float64Array(from);
    for (const [k, w] of [far(t + 1), near(t), near(1 - t), far(2 - t)].entries())
      row[Math.min(Math.max(first - 1 + k, 0), from - 1)] += w;
    return row;
  });
}

/** What each token's position is made of: a row of weights over the table for each token. @throws UnsupportedOptionError unless the table is square */
function interpolation(grid: PatchGrid, [height, width]: Pair): Float32Array {
  const cols = positionRows(grid);
  const { tokens } = grid;
  const side = Math.sqrt(cols - 1 - tokens);
  if (!Number.isInteger(side)) throw new UnsupportedOptionError("image_size", grid.image, ["squares"]);
  const [down, across] = [bicubic(side, height), bicubic(side, width)];
  const out = new Float32Array((tokens + height * width) * cols);
  for (let i = 0; i < tokens; i++) out[i * cols + i] = 1;
  for (let y = 0, at = tokens * cols; y < height; y++)
    for (let x = 0; x < width; x++, at += cols)
      for (let j = 0; j < side; j++)
        if (down[y][j]) for (let i = 0; i < side; i++) out[at + tokens + j * side + i] = down[y][j] * across[x][i];
  return out;
}

const numbers = (
  name: string,
  t: TensorLike | undefined,
  rank: number,
): { data: Float32Array; dims: readonly number[] } => {
  if (!t?.dims || typeof t.data?.length !== "number") throw new InputError(`${name} must be a tensor`);
  const { dims } = t;
  const whole = dims.length === rank && dims.every((d) => Number.isInteger(d) && d > 0);
  if (!whole || dims.reduce((a, b) => a * b, 1) !== t.data.length)
    throw new ShapeError(name, new Array(rank).fill(null), dims);
  return { data: t.data instanceof Float32Array ? t.data : Float32Array.from(t.data), dims };
};

/**
 * Lays images out as the rows that a patch projection multiplies: class tokens are rows of zeros, then the patches from left to right and top to
 * bottom, each [channel, y, x]. pixel_values [B, C, H, W]; input_values [B, time, frequency].
 * @throws InputError, ShapeError, UnsupportedOptionError
 */
export function layOutImages(inputs: ModelInputs, grid: PatchGrid): Batch {
  const { input, channels, patch, stride, tokens, heads } = grid;
  const known = [input, ...(grid.interpolate === "asked" ? ["interpolate_pos_encoding"] : [])];
  for (const [name, value] of Object.entries(inputs))
    if (value !== undefined && !known.includes(name))
      throw new InputError(`this model has no input ${name}; it takes ${known.join(", ")}`);
  const sound = input === "input_values";
  const { data, dims } = numbers(input, inputs[input], sound ? 3 : 4);
  const [B] = dims;
  const [C, H, W] = sound ? [1, dims[2], dims[1]] : dims.slice(1);
  const [down, across] = sound ? [1, H] : [W, 1];
  const expected = sound ? ["B", grid.image[1], grid.image[0]] : ["B", channels, ...grid.image];
  const size: Pair = gridOf(grid, [H, W]);
  const [rows, columns] = size;
  const usual = H === grid.image[0] && W === grid.image[1];
  const free = grid.interpolate === "always" || inputs.interpolate_pos_encoding;
  if (C !== channels || !(rows > 0 && columns > 0) || !(usual || free)) throw new ShapeError(input, expected, dims);

  const width = C * patch[0] * patch[1];
  const length = tokens + rows * columns;
  const patches = new Float32Array(B * length * width);
  for (let b = 0, to = 0; b < B; b++) {
    to += tokens * width;
    for (let y = 0; y < rows; y++)
      for (let x = 0; x < columns; x++)
        for (let c = 0; c < C; c++)
          for (let i = 0; i < patch[0]; i++) {
            let from = (b * C + c) * H * W + (y * stride[0] + i) * down + x * stride[1] * across;
            for (let j = 0; j < patch[1]; j++, from += across) patches[to++] = data[from];
          }
  }
  const each = (of: (t: number) => number) => Int32Array.from({ length: B * length }, (_, i) => of(i % length));
  const first = Int32Array.from({ length: B }, (_, b) => b * length);
  const zeros = positionRows(grid) - 1;
  const positions_mix = usual ? new Float32Array(zeros + 1) : interpolation(grid, size);
  return {
    dims: { ...imageDims(grid, B, length), R: positions_mix.length / (zeros + 1) },
    length,
    rows: Int32Array.from({ length: B * length }, (_, i) => i),
    offsets: Int32Array.from({ length: B + 1 }, (_, b) => b * length),
    inputs: {
      [input]: patches,
      token_kinds: each((t) => (t < tokens ? t + 1 : 0)),
      position_ids: each((t) => (usual ? t : zeros)),
      positions_mix,
      mixed_ids: each((t) => (usual ? 0 : t)),
      offsets: Int32Array.from({ length: B + 1 }, (_, b) => b * length),
      tap_offsets: first.map((row) => row * length * heads),
      first_rows: first,
      second_rows: first.map((row) => row + 1),
      // What pools by attention has one query for each image.
      no_rows: new Int32Array(B),
      single_rows: Int32Array.from({ length: B + 1 }, (_, b) => b),
      pool_mask: each((t) => +(t >= tokens)),
    },
  };
}
