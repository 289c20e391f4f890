import { UnsupportedOptionError } from "../errors.ts";
import type { Rope } from "../format/config.ts";
import type { Graph, Node } from "../graph/graph.ts";
import { pow } from "../numeric.ts";

/** θ^(-2i / dim) of arXiv:2104.09864, each step rounded to f32 as PyTorch's are. */
export function inverseFrequencies(dim: number, theta: number): Float32Array {
  return Float32Array.from({ length: dim / 2 }, (_, i) => 1 / Math.fround(pow(theta, Math.fround((2 * i) / dim))));
}

/** The rotations of each token's position, for heads of `head_dim`. @throws UnsupportedOptionError if the rope_type stretches positions */
export function rotaryTable(g: Graph, rope: Rope, head_dim: number): Node {
  rope.more.string(["rope_type", "type"], ["default"], "default");
  const dim = Math.floor(head_dim * rope.partial_rotary_factor);
  if (!dim || dim % 2) throw new UnsupportedOptionError("size of rotated heads", dim, ["even sizes"]);
  return g.rotaryTable(g.input("position_ids", "T"), inverseFrequencies(dim, rope.rope_theta));
}
