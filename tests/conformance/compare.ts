/** Runs a case (config, weights, expected.safetensors) as shared/conformance/run.mjs does, and says how far the results are off. */

import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type EncoderInputs, type LoadOptions, loadModel } from "../../src/host/node.ts";

interface Tensor {
  data: Float32Array | Int32Array | Uint8Array;
  dims: number[];
}

/** The number that 16 bits say. */
function half(bits: number): number {
  const [exponent, fraction] = [(bits >> 10) & 31, bits & 1023];
  const size = exponent ? 2 ** (exponent - 25) * (1024 + fraction) : 2 ** -24 * fraction;
  return bits & 0x8000 ? -size : size;
}

/** The tensors (F32, F16, I32, U8) of a file. */
export function safetensors(url: URL): { [name: string]: Tensor } {
  const bytes = readFileSync(url);
  const size = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.toString("utf8", 8, 8 + size));
  delete header.__metadata__;
  return Object.fromEntries(
    Object.entries<{ dtype: string; shape: number[]; data_offsets: number[] }>(header).map(([name, t]) => {
      const [begin, end] = t.data_offsets.map((o) => bytes.byteOffset + 8 + size + o);
      const own = bytes.buffer.slice(begin, end);
      const Kind = { F32: Float32Array, I32: Int32Array, U8: Uint8Array, F16: Uint16Array }[t.dtype]!;
      if (t.dtype === "F16") return [name, { data: Float32Array.from(new Kind(own), half), dims: t.shape }];
      return [name, { data: new Kind(own), dims: t.shape }];
    }),
  );
}

/** Largest |got - want| over the largest |want|, but at least over 1; Infinity where dims differ or a number is none. */
export function distance(got: Tensor | undefined, want: Tensor): number {
  if (got?.dims.join() !== want.dims.join()) return Number.POSITIVE_INFINITY;
  let worst = 0;
  let most = 1;
  for (let i = 0; i < want.data.length; i++) {
    const d = Math.abs(got.data[i] - want.data[i]);
    worst = Number.isNaN(d) ? Number.POSITIVE_INFINITY : Math.max(worst, d);
    most = Math.max(most, Math.abs(want.data[i]));
  }
  return worst / most;
}

/** Drops what belongs to padding, which nobody defines: rows of [B, T, …] and, in [B, H, T, T], rows of masked queries. */
function kept(t: Tensor, mask: Tensor | undefined): Tensor {
  const [B, T] = mask?.dims ?? [];
  const heads = t.dims.length === 4 && t.dims[2] === T ? t.dims[1] : 1;
  if (!mask || (heads === 1 && t.dims[1] !== T)) return t;
  const row = t.data.length / (B * heads * T);
  const sees = (at: number) => mask.data[Math.floor(at / row / heads / T) * T + (Math.floor(at / row) % T)];
  const data = (t.data as Float32Array).filter((_, at) => sees(at));
  return { data, dims: [data.length] };
}

/** The worst distance over all outputs of all inputs of the case in `folder`, where it is, and how many were compared. */
export async function compare(
  folder: URL,
  options?: LoadOptions,
): Promise<{ worst: number; where: string; compared: number }> {
  const all = safetensors(new URL("expected.safetensors", folder));
  const model = await loadModel(fileURLToPath(folder), options);
  const result = { worst: 0, where: "", compared: 0 };
  const of = (kind: string, i: number) =>
    Object.entries(all)
      .filter(([name]) => name.startsWith(`${kind}.${i}.`))
      .map(([name, t]) => [name.slice(kind.length + 2 + String(i).length), t] as const);
  try {
    for (let i = 0; of("in", i).length; i++) {
      const inputs = Object.fromEntries(of("in", i)) as { [name: string]: Tensor } & EncoderInputs;
      const wanted = of("out", i);
      const outputs = [...new Set(wanted.map(([name]) => name.split(".")[0]))].filter((name) => name !== "greedy");
      const got = outputs.length ? await model.forward(inputs, { outputs }) : {};
      for (const [name, want] of wanted) {
        if (name === "greedy") {
          if (options?.dtype) continue; // rounded weights say other tokens
          const { decoder_input_ids, ...source } = inputs;
          const begin = model.config.bool("is_encoder_decoder") ? 1 : (inputs.input_ids as unknown as Tensor).dims[1];
          const n = want.dims[1] - begin;
          const made = await model.generate(source, { max_new_tokens: n, min_new_tokens: n, do_sample: false });
          result.compared++;
          if (made.flat().join() !== Array.from(want.data).join())
            Object.assign(result, { worst: Number.POSITIVE_INFINITY, where: `in.${i} greedy` });
          continue;
        }
        const [output, layer] = name.split(".");
        const g = (layer === undefined ? got[output] : (got[output] as never)[layer]) as Tensor | undefined;
        const same = g?.dims.join() === want.dims.join();
        const mask = inputs.attention_mask as Tensor | undefined;
        const d = distance(g && same ? kept(g, mask) : g, same ? kept(want, mask) : want);
        result.compared++;
        if (d > result.worst) Object.assign(result, { worst: d, where: `in.${i} ${name}` });
      }
    }
  } finally {
    model.dispose();
  }
  return result;
}
