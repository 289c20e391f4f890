/** Where wattention's time goes on real MiniLM: `model.profile`, summed by kind of op and width. See README.md. */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { fileURLToPath, pathToFileURL } from "node:url";
import { parseArgs } from "node:util";
import { constEnums, minilm, missing, textOfLength } from "./material.mjs";
import { interleave, table, turn } from "./measure.mjs";
import { DTYPES, ours } from "./peers/wattention.mjs";

const { values: options } = parseArgs({
  options: {
    entry: { type: "string", default: ours },
    dtypes: { type: "string", default: DTYPES.join(",") },
    deterministic: { type: "boolean", default: false },
    lengths: { type: "string", default: "16,128,512" },
    runs: { type: "string", default: "15" },
    json: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (options.help) {
  console.log(
    "usage: node profile.mjs [--entry FILE] [--dtypes LIST] [--deterministic] [--lengths 16,128,512] [--runs 15] [--json FILE]",
  );
  process.exit(0);
}
const absent = [options.entry, ...missing()].filter((path) => !existsSync(path));
if (absent.length) {
  console.log(`skipped: absent: ${absent.join(", ")}`);
  process.exit(0);
}
const op = constEnums(readFileSync(fileURLToPath(new URL("../src/graph/op.ts", import.meta.url)), "utf8")).Op;
const nameOf = Object.fromEntries(Object.entries(op).map(([name, value]) => [value, name]));
const wanted = { outputs: ["last_hidden_state"] };
const { loadModel } = await import(pathToFileURL(resolve(options.entry)));
const short = inputsOf(16);
const all = [];
for (const dtype of options.dtypes.split(",")) {
  let model;
  try {
    model = await loadModel(minilm.folder, { dtype, deterministic: options.deterministic });
  } catch (error) {
    console.log(`${dtype} skipped: ${error.message}`);
    continue;
  }
  await turn(() => model.forward(short, wanted), 1500);
  for (const length of options.lengths.split(",").map(Number)) all.push(await profile(model, dtype, length));
  model.dispose();
}
if (options.json) writeFileSync(options.json, `${JSON.stringify({ node: process.version, lengths: all }, null, 1)}\n`);

function inputsOf(length) {
  return { input_ids: { data: textOfLength(length), dims: [1, length] } };
}

async function profile(model, dtype, length) {
  const inputs = inputsOf(length);
  const runs = [];
  const [plain] = await interleave(
    [() => model.forward(inputs, wanted), async () => runs.push(await model.profile(inputs, wanted))],
    { rounds: Number(options.runs), turn: 0, warmup: 300 },
  );
  const recorded = runs.slice(-Number(options.runs));
  const best = (i) => Math.min(...recorded.map((run) => run[i].milliseconds));
  const kinds = new Map();
  for (const [i, step] of recorded[0].entries()) {
    const kind = `${nameOf[step.op]} ${step.cols}`;
    const sum = kinds.get(kind) ?? { kind, ops: 0, ms: 0, flops: 0 };
    const ms = best(i);
    sum.ops++;
    sum.ms += ms;
    sum.flops += (step.gflops ?? 0) * step.milliseconds;
    kinds.set(kind, sum);
  }
  const forward = Math.min(...plain.map((s) => s.cpu));
  const ops = [...kinds.values()].sort((a, b) => b.ms - a.ms);
  ops.push({ kind: "other", ops: "", ms: forward - ops.reduce((sum, k) => sum + k.ms, 0), flops: 0 });
  console.log(
    `\n${dtype}, T = ${length}: forward ${forward.toFixed(2)} ms of processor time, best of ${recorded.length} runs; ops: their best by the clock\n`,
  );
  console.log(
    table(
      ["op", "ops", "ms", "share", "GFLOP/s"],
      ops.map((k) => [
        k.kind,
        k.ops,
        k.ms.toFixed(2),
        `${((100 * k.ms) / forward).toFixed(1)} %`,
        k.flops ? (k.flops / k.ms).toFixed(1) : "",
      ]),
      1,
    ),
  );
  return { dtype, length, forward, ops };
}
