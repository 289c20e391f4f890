/**
 * What a dtype costs a language model: perplexity of stories260K on ../shared/data/tinystories-200.json, every token but the first given all
 * before it. Exits with 1 where a dtype is off by more than it promises.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { stories } from "./material.mjs";
import { table } from "./measure.mjs";
import { DTYPES, ours } from "./peers/wattention.mjs";

/** How much higher than that of f32 a perplexity may be. */
export const PROMISED = { q8: 0.01, "q8-exact": 0.001, q4: 0.05 };

const { values: options } = parseArgs({
  options: {
    dtypes: { type: "string", default: DTYPES.join(",") },
    entry: { type: "string", default: ours },
    texts: { type: "string", default: "200" },
    simd: { type: "boolean", default: false },
    json: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (options.help) {
  console.log(
    "usage: node perplexity.mjs [--dtypes f32,…] [--texts N] [--simd] [--entry dist/host/node.js] [--json FILE]",
  );
  process.exit(0);
}
if (!existsSync(stories.folder) || !existsSync(stories.texts)) {
  console.log("skipped: ../shared/models/stories260K or ../shared/data/tinystories-200.json is absent");
  process.exit(0);
}
const { loadModel } = await import(pathToFileURL(options.entry));
const { Tokenizer } = await import("@huggingface/tokenizers");
const read = (name) => JSON.parse(readFileSync(`${stories.folder}/${name}`, "utf8"));
const tokenizer = new Tokenizer(read("tokenizer.json"), read("tokenizer_config.json"));
const { max_position_embeddings } = read("config.json");
const texts = JSON.parse(readFileSync(stories.texts, "utf8"))
  .slice(0, Number(options.texts))
  .map((text) => tokenizer.encode(text).ids.slice(0, max_position_embeddings));

/** Σ -log p(token | those before it), and how many tokens that are. */
async function surprise(model, ids) {
  const { logits } = await model.forward({ input_ids: [ids] }, { outputs: ["logits"] });
  const size = logits.dims.at(-1);
  let sum = 0;
  for (let t = 0; t + 1 < ids.length; t++) {
    const row = logits.data.subarray(t * size, (t + 1) * size);
    const most = row.reduce((a, b) => Math.max(a, b), Number.NEGATIVE_INFINITY);
    let total = 0;
    for (const x of row) total += Math.exp(x - most);
    sum += Math.log(total) + most - row[ids[t + 1]];
  }
  return sum;
}

const rows = [];
for (const dtype of options.dtypes.split(",")) {
  const model = await loadModel(stories.folder, { dtype, ...(options.simd && { deterministic: true }) });
  let sum = 0;
  let count = 0;
  for (const ids of texts) {
    sum += await surprise(model, ids);
    count += ids.length - 1;
  }
  model.dispose();
  const perplexity = Math.exp(sum / count);
  const more = perplexity / (rows[0]?.perplexity ?? perplexity) - 1;
  rows.push({ dtype, perplexity, more, tokens: count });
}
console.log(
  table(
    ["dtype", "perplexity", "over f32", "promised"],
    rows.map(({ dtype, perplexity, more }) => [
      dtype,
      perplexity.toFixed(4),
      `${(100 * more).toFixed(3)} %`,
      PROMISED[dtype] ? `${100 * PROMISED[dtype]} %` : "",
    ]),
    1,
  ),
);
console.log(`stories260K, ${texts.length} texts, ${rows[0].tokens} tokens`);
if (options.json) writeFileSync(options.json, `${JSON.stringify({ node: process.version, rows }, null, 1)}\n`);
const worse = rows.filter(({ dtype, more }) => !(more <= (PROMISED[dtype] ?? 0)));
for (const { dtype } of worse) console.error(`${dtype} is further from f32 than it promises`);
process.exit(worse.length ? 1 : 0);
