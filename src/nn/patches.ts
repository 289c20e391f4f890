import { ShapeError, UnsupportedOptionError } from "../errors.ts";
import type { Config } from "../format/config.ts";
import type { Graph, Value } from "../graph/graph.ts";
import { Op } from "../graph/op.ts";
import { gridOf, type PatchGrid, positionRows } from "../runtime/images.ts";

/** A size that a config gives as one number or as [height, width]. */
function pair(config: Config, name: string, otherwise: number): readonly [number, number] {
  const whole = (v: unknown) => Number.isInteger(v) && (v as number) > 0 && (v as number) <= 1 << 16;
  const good = (v: unknown) => (Array.isArray(v) ? v.length === 2 && v.every(whole) : whole(v));
  const size = config.get<number | [number, number]>(name, good, ["a whole number or two"], otherwise);
  return typeof size === "number" ? [size, size] : size;
}

/** How a model cuts what it sees, by the options that all of them have. */
export function imageGrid(
  config: Config,
  more: Pick<PatchGrid, "tokens" | "interpolate"> & Partial<PatchGrid>,
  { image_size = 224, patch_size = 16 } = {},
): PatchGrid {
  const patch = pair(config, "patch_size", patch_size);
  const grid: PatchGrid = {
    input: "pixel_values",
    channels: more.channels ?? config.int("num_channels", { default: 3 }),
    image: more.image ?? pair(config, "image_size", image_size),
    patch,
    stride: patch,
    heads: config.int("num_attention_heads", { default: 12 }),
    ...more,
  };
  if (gridOf(grid, grid.image).some((n) => n < 1))
    throw new UnsupportedOptionError(`${config.file}: patch_size`, patch, [`up to ${grid.image}`]);
  return grid;
}

export interface PatchNames {
  /** The convolution whose kernel is a patch. */
  readonly projection: string;
  readonly bias: boolean;
  /** Class and distillation tokens, and their dims before the width. */
  readonly tokens: readonly string[];
  readonly token_dims: readonly number[];
  readonly positions: string;
  readonly position_dims: readonly number[];
}

/**
 * A row for each class token and each patch, with its position added (arXiv:2010.11929). The host lays patches out as rows, so the convolution is a matmul;
 * class tokens are rows of zeros there, and get theirs, as patches get the bias, from a table.
 */
export function patchEmbeddings(g: Graph, grid: PatchGrid, names: PatchNames, width: number): Value {
  const { channels, patch } = grid;
  const rows = positionRows(grid);
  const weight = g.weight(`${names.projection}.weight`, [width, channels, ...patch]);
  const patches = g.linear(g.input(grid.input, "T", "f32", weight.cols), weight);
  const bias = names.bias ? g.weight(`${names.projection}.bias`, [width]) : 1;
  const kinds = g.stack([bias, ...names.tokens.map((t) => g.weight(t, [...names.token_dims, width]))], width);
  const positions = g.stack([g.weight(names.positions, [...names.position_dims, rows - 1, width]), 1], width);
  const x = g.add(
    g.add(patches, g.embed(g.input("token_kinds", "T"), kinds)),
    g.embed(g.input("position_ids", "T"), positions),
  );
  if (grid.interpolate === "never") return x;
  const mixed = mix(g, g.input("positions_mix", "R", "f32", rows), positions);
  return g.add(x, g.embed(g.input("mixed_ids", "T"), mixed));
}

/** x · table: for each row of x a sum of the table's rows, weighted. The table stays f32. */
export function mix(g: Graph, x: Value, table: Value): Value {
  if (x.cols !== table.rows) throw new ShapeError("mix", [x.cols, table.cols], [table.rows as number, table.cols]);
  const b = g.node(Op.copy, table.rows, table.cols, { x: table }, { panels: 1 });
  return g.node(Op.matmul, x.rows, table.cols, { a: x, b });
}
