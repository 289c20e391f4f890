/**
 * Who is compared. A peer is
 *   name, group       what its line says; ratios are within a group ("f32", "8-bit", "4-bit"), over the group's baseline
 *   exact             whether it promises PyTorch's f32 numbers
 *   promise           least mean cosine to f32 vectors, of a quantised one that promises any
 *   why_not()         true, or why it cannot run here
 *   prepare()         files it needs, made before anything is timed; may return a remark
 *   files(mode)       the model files that a user downloads for it, for "ids" or "text" in
 *   load()            ids in: `{ version, run(ids), dispose() }`, `run` from the ids of one text in an Int32Array to its mean-pooled
 *                     last_hidden_state in a Float32Array: everybody is timed from the same input to the same output
 *   loadText()        texts in: `{ version, embed(texts), dispose() }`, `embed` to the normalised vectors, one after another
 * A peer may have one of the two loads only. All run on one thread.
 */
import { onnxruntimeNode, onnxruntimeWeb } from "./peers/onnxruntime.mjs";
import { tfjsWasm } from "./peers/tfjs.mjs";
import { transformers } from "./peers/transformers.mjs";
import { DTYPES, shipped, wattention } from "./peers/wattention.mjs";

/** The peers by the names that the command line takes. Those of ours may be followed by `=ENTRY`. */
const known = {
  ...Object.fromEntries(
    [false, true].flatMap((simd) =>
      DTYPES.map((dtype) => {
        const word = `wattention${dtype === "f32" ? "" : `-${dtype}`}${simd ? "-simd" : ""}`;
        return [word, (entry) => wattention({ dtype, simd }, entry)];
      }),
    ),
  ),
  shipped,
  "ort-f32": () => onnxruntimeWeb("f32"),
  "ort-int8": () => onnxruntimeWeb("int8"),
  "tfjs-wasm": tfjsWasm,
  "native-f32": () => onnxruntimeNode("f32"),
  "native-int8": () => onnxruntimeNode("int8"),
  "transformers-f32": () => transformers("node", "f32"),
  "transformers-int8": () => transformers("node", "int8"),
  "transformers-web-f32": () => transformers("web", "f32"),
  "transformers-web-int8": () => transformers("web", "int8"),
};
export const names = Object.keys(known);

/** The peer that `word` names. @throws Error listing what there is. */
export function peer(word) {
  const [name, entry] = word.split("=");
  if (!Object.hasOwn(known, name)) throw new Error(`no peer "${name}"; there are ${names.join(", ")}`);
  return { word, ...known[name](entry) };
}

/** Those of `words` that can run here, prepared; why not, and remarks, go to `say`. */
export async function ready(words, say = console.log) {
  const peers = [];
  for (const word of words) {
    const one = peer(word);
    const why = await one.why_not();
    if (why !== true) {
      say(`${one.name} skipped: ${why}`);
      continue;
    }
    const remark = await one.prepare?.();
    if (remark) say(`${one.name}: ${remark}`);
    peers.push(one);
  }
  return peers;
}
