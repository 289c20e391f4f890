import { UnsupportedOptionError } from "../errors.ts";
import type { Config, Rope } from "../format/config.ts";
import type { Graph, Node } from "../graph/graph.ts";
import { log, pow } from "../numeric.ts";
import type { Rotations } from "../runtime/batch.ts";

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
  config: Config,
) => { frequencies: Float32Array; scale?: number; rotations?: Rotations };

/** What a rope_type makes of the frequencies, as transformers' modeling_rope_utils.py does. */
const SCALINGS: { readonly [rope_type: string]: Scaling } = {
  default: (frequencies) => ({ frequencies }),
  /** Multiplied by a tensor of the checkpoint (see rotaryTable), which GGUF files have instead of what it was computed from. */
  factors: (frequencies) => ({ frequencies }),
  /** Positions divided by a factor. */
  linear: (frequencies, { more }) => ({ frequencies: frequencies.map((f) => f / factorOf(more)) }),
  /** Low frequencies divided by a factor, high ones kept, a ramp between (arXiv:2407.21783). */
  llama3(frequencies, { more }, _dim, config) {
    const factor = factorOf(more);
    const [low, high] = ["low_freq_factor", "high_freq_factor"].map((name) => more.number(name));
    const original = originalOf(config, more);
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
  yarn(frequencies, { more, rope_theta }, dim, config) {
    const original = originalOf(config, more);
    const factor = more.has("factor") ? factorOf(more) : lengthOf(config) / original;
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
  /** Beyond the length of training, a base that grows with the sequence (https://www.reddit.com/r/LocalLLaMA/comments/14mrgpr). */
  dynamic(frequencies, { more, rope_theta }, dim, config) {
    const [factor, original] = [factorOf(more), lengthOf(config)];
    const base = (length: number) => rope_theta * pow((factor * length) / original - (factor - 1), dim / (dim - 2));
    return {
      frequencies,
      rotations: { original, again: false, frequencies: (length) => inverseFrequencies(dim, base(length)) },
    };
  },
  /** Frequencies divided by factors of their own: ones for texts up to the length of training, others beyond (arXiv:2402.13753). */
  longrope(frequencies, { more }, _dim, config) {
    const original = originalOf(config, more);
    const factor = more.has("factor") ? factorOf(more) : lengthOf(config) / original;
    const [short, long] = ["short_factor", "long_factor"].map((name) => {
      const factors = more.numbers(name);
      if (factors.length !== frequencies.length)
        throw new UnsupportedOptionError(`${more.file}: ${name}`, `${factors.length} factors`, [frequencies.length]);
      return frequencies.map((f, i) => f / factors[i]);
    });
    const scale = factor <= 1 ? 1 : Math.sqrt(1 + log(factor) / log(original));
    return {
      frequencies: short,
      scale: more.number("attention_factor", { default: scale }),
      rotations: { original, again: true, frequencies: (length) => (length > original ? long : short) },
    };
  },
};

const factorOf = (more: Config) => more.number("factor", { min: 1 });
const LENGTH = { max: 2 ** 31, default: 2048 };
const lengthOf = (config: Config) => config.int("max_position_embeddings", LENGTH);
/** The length of training: Phi 3 has it beside the rotary options. */
const originalOf = (config: Config, more: Config) =>
  (config.has("original_max_position_embeddings") ? config : more).int("original_max_position_embeddings", {
    max: 2 ** 31,
    default: lengthOf(config),
  });

/** Frequencies of a rope_type. @throws UnsupportedOptionError for one that is not here */
function scaled(rope: Rope, head_dim: number, config: Config | undefined) {
  const dim = rope.dim ?? Math.floor(head_dim * rope.partial_rotary_factor);
  // An odd size is rotated with one number more, as transformers does: its last frequency is that of a pair.
  if (!dim || dim + (dim % 2) > head_dim)
    throw new UnsupportedOptionError("size of rotated heads", dim, ["even sizes"]);
  const types = config ? Object.keys(SCALINGS) : ["default"];
  if (!types.includes(rope.rope_type))
    throw new UnsupportedOptionError(`${rope.more.file}: rope_type`, rope.rope_type, types);
  const frequencies = inverseFrequencies(dim, rope.rope_theta);
  return SCALINGS[rope.rope_type](frequencies, rope, dim, config ?? rope.more);
}

/** How rotations depend on a sequence's length, where they do: of a model's InputRules. */
export const rotationsOf = (rope: Rope, head_dim: number, config: Config) => scaled(rope, head_dim, config).rotations;

/** The rotations of each token's position, for heads of `head_dim`. @throws UnsupportedOptionError for a rope_type that is not here */
export function rotaryTable(g: Graph, rope: Rope, head_dim: number, config?: Config): Node {
  const { frequencies, scale, rotations } = scaled(rope, head_dim, config);
  const each = rope.rope_type === "factors" && g.weight(rope.more.string("factors"), [frequencies.length]);
  const inv_freq = rotations ? g.input("inv_freq", "T", "f32", frequencies.length) : g.constant(frequencies);
  return g.rotaryTable(g.input("position_ids", "T"), each ? g.mul(inv_freq, each) : inv_freq, scale);
}
