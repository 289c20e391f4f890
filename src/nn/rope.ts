import { UnsupportedOptionError } from "../errors.ts";
import type { Config, Rope } from "../format/config.ts";
import type { Graph, Node } from "../graph/graph.ts";
import { log, pow } from "../numeric.ts";

/** θ^(-2i / dim) of arXiv:2104.09864, each step rounded to f32 as PyTorch's are. */
export function inverseFrequencies(dim: number, theta: number): Float32Array {
  return Float32Array.from(
    { length: Math.ceil(dim / 2) },
    (_, i) => 1 / Math.fround(pow(theta, Math.fround((2 * i) / dim))),
  );
}

/** Frequencies of heads, and what the rotated are multiplied by. */
type Scaling = (
  frequencies: Float32Array,
  rope: Rope,
  dim: number,
  length: () => number,
) => { frequencies: Float32Array; scale?: number };

/** What a rope_type makes of the frequencies, as transformers' modeling_rope_utils.py does. */
const SCALINGS: { readonly [rope_type: string]: Scaling } = {
  default: (frequencies) => ({ frequencies }),
  /** Multiplied by a tensor of the checkpoint (see rotaryTable), which GGUF files have instead of what it was computed from. */
  factors: (frequencies) => ({ frequencies }),
  /** Positions divided by a factor. */
  linear: (frequencies, { more }) => ({ frequencies: frequencies.map((f) => f / factorOf(more)) }),
  /** Low frequencies divided by a factor, high ones kept, a ramp between (arXiv:2407.21783). */
  llama3(frequencies, { more }) {
    const factor = factorOf(more);
    const [low, high] = ["low_freq_factor", "high_freq_factor"].map((name) => more.number(name));
    const original = more.int("original_max_position_embeddings", { max: 2 ** 31 });
    const scaled = frequencies.map((f) => {
      const length = (2 * Math.PI) / f;
      if (length > original / low) return f / factor;
      if (length < original / high) return f;
      const smooth = (original / length - low) / (high - low);
      return ((1 - smooth) * f) / factor + smooth * f;
    });
    return { frequencies: scaled };
  },
  /** Frequencies by how often they turn within the original length, logits by a temperature (arXiv:2309.00071). */
  yarn(frequencies, { more, rope_theta }, dim, length) {
    const original = more.int("original_max_position_embeddings", { max: 2 ** 31, default: length() });
    const factor =
      more.has("original_max_position_embeddings") && !more.has("factor") ? length() / original : factorOf(more);
    const turns = (n: number) => (dim * log(original / (n * 2 * Math.PI))) / (2 * log(rope_theta));
    let low = turns(more.number("beta_fast", { default: 32 }));
    let high = turns(more.number("beta_slow", { default: 1 }));
    if (more.bool("truncate", true)) [low, high] = [Math.floor(low), Math.ceil(high)];
    [low, high] = [Math.max(low, 0), Math.min(high, dim - 1)];
    if (low === high) high += 0.001;
    const scaled = frequencies.map((f, i) => {
      const ramp = Math.min(1, Math.max(0, (i - low) / (high - low)));
      return (f / factor) * ramp + f * (1 - ramp);
    });
    const temperature = (s: number, m = 1) => (s <= 1 ? 1 : 0.1 * m * log(s) + 1);
    const [m, all] = ["mscale", "mscale_all_dim"].map((name) => more.number(name, { default: 0 }));
    const scale = m && all ? temperature(factor, m) / temperature(factor, all) : temperature(factor);
    return { frequencies: scaled, scale: more.number("attention_factor", { default: scale }) };
  },
};

const factorOf = (more: Config) => more.number("factor", { min: 1 });

/** The rotations of each token's position, for heads of `head_dim`. @throws UnsupportedOptionError for a rope_type that is not here */
export function rotaryTable(g: Graph, rope: Rope, head_dim: number, config?: Config): Node {
  const type = rope.more.string(["rope_type", "type"], config ? Object.keys(SCALINGS) : ["default"], "default");
  const dim = rope.dim ?? Math.floor(head_dim * rope.partial_rotary_factor);
  // An odd size is rotated with one number more, as transformers does: its last frequency is that of a pair.
  if (!dim || dim + (dim % 2) > head_dim)
    throw new UnsupportedOptionError("size of rotated heads", dim, ["even sizes"]);
  const length = () => config!.int("max_position_embeddings", { max: 2 ** 31, default: 2048 });
  const { frequencies, scale } = SCALINGS[type](inverseFrequencies(dim, rope.rope_theta), rope, dim, length);
  const each = type === "factors" && g.weight(rope.more.string("factors"), [frequencies.length]);
  const inv_freq = g.constant(frequencies);
  return g.rotaryTable(g.input("position_ids", "T"), each ? g.mul(inv_freq, each) : inv_freq, scale);
}
