import { InputError, ShapeError, UnsupportedOptionError } from "../errors.ts";
import { Tensor } from "../tensor.ts";

export interface RolloutOptions {
  /** How the heads of a layer become one matrix. Default "mean", as in the paper. */
  fusion?: "mean" | "max" | "min";
  /** First layer that takes part; a negative one counts from the end. Default 0. */
  from?: number;
  /** Which sequence of the batch. Default 0. */
  sequence?: number;
}

// a mean is a sum here: what the heads sum to weighs as much as H identities
const FUSIONS = { mean: (a: number, b: number) => a + b, max: Math.max, min: Math.min };

/**
 * Attention rollout (Abnar & Zuidema 2020, arXiv:2005.00928): how much of each input token reaches each output token if attention and
 * the residual path weigh the same. Per layer `A = (fused heads + I)`, rows normalised to sum to 1; the result is `A_last · … · A_from`.
 *
 * Accumulates in f64; costs layers · T³ multiplications on the caller's thread.
 * @param attentions probabilities of self-attention, one [B, H, T, T] a layer
 * @returns [T, T], row = output token, column = input token; every row sums to 1
 * @throws InputError without layers or sequence, ShapeError if a layer is not [B, H, T, T], UnsupportedOptionError
 */
export function attentionRollout(
  attentions: readonly Tensor[],
  { fusion = "mean", from = 0, sequence = 0 }: RolloutOptions = {},
): Tensor {
  const fuse = FUSIONS[fusion];
  if (!fuse) throw new UnsupportedOptionError("fusion", fusion, Object.keys(FUSIONS));
  const layers = attentions.slice(from);
  if (!layers.length) throw new InputError(`no attentions from layer ${from}`);
  const T = layers[0].dims[3];
  let rolled = Float64Array.from({ length: T * T }, (_, i) => +(i % (T + 1) === 0));
  for (const layer of layers) {
    const [B, H] = layer.dims;
    if (`${layer.dims}` !== `${[B, H, T, T]}`) throw new ShapeError("attentions", [null, null, T, T], layer.dims);
    const heads = layer.row(sequence).data;
    const next = new Float64Array(T * T);
    for (let i = 0; i < T; i++) {
      const mixed = Array.from({ length: T }, (_, j) => {
        let p = heads[i * T + j];
        for (let h = 1; h < H; h++) p = fuse(p, heads[(h * T + i) * T + j]);
        return i === j ? p + (fusion === "mean" ? H : 1) : p;
      });
      const sum = mixed.reduce((a, b) => a + b);
      mixed.forEach((w, k) => {
        for (let j = 0; j < T; j++) next[i * T + j] += (w / sum) * rolled[k * T + j];
      });
    }
    rolled = next;
  }
  return new Tensor(Float32Array.from(rolled), [T, T]);
}
