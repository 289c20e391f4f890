/**
 * The matmul kernels by themselves: GFLOP/s (GOP/s where weights are integers) for the shapes of MiniLM's Linear layers, against a loop of
 * multiply-adds that touches registers alone, in interleaved rounds, by processor time.
 */
import { existsSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { parseArgs } from "node:util";
import { DTYPES, matmuls } from "./kernel_cases.mjs";
import { repository } from "./material.mjs";
import { interleave, quartiles, table } from "./measure.mjs";
import { multiplyAddLoop } from "./peak.mjs";

const text = (value) => ({ type: "string", ...(value && { default: value }) });
const { values: options } = parseArgs({
  options: {
    modules: text(["relaxed", "simd"].map((build) => repository(`dist/wasm/${build}.wasm`)).join(",")),
    rows: text("17,120,128"),
    shapes: text("384x384,1536x384,384x1536"),
    dtypes: text(DTYPES.join(",")),
    weights: text("0"),
    rounds: text(),
    turn: text(),
    warmup: text(),
    json: text(),
    quick: { type: "boolean", default: false },
    help: { type: "boolean", default: false },
  },
});
if (options.help) {
  console.log(`usage: node kernels.mjs [options]
  --modules LIST  .wasm files (default ../dist/wasm/relaxed.wasm and simd.wasm)
  --rows LIST     rows of activations (default 17,120,128)
  --shapes LIST   weights, outputs x inputs (default 384x384,1536x384,384x1536)
  --dtypes LIST   of ${DTYPES.join(", ")} (default all)
  --weights MB    cycle through so many bytes of weights, as a model does (default 0: one matrix, in the cache;
                  the Linear layers of MiniLM have 42 in f32, 10.6 in q8)
  --quick         a third of the rounds
  --rounds N, --turn MS, --warmup MS, --json FILE`);
  process.exit(0);
}
const asked = {
  ...(options.quick ? { rounds: 5, turn: 6, warmup: 60 } : { rounds: 15, turn: 10, warmup: 200 }),
  ...options,
};
const pace = { rounds: Number(asked.rounds), turn: Number(asked.turn), warmup: Number(asked.warmup) };
const shapes = asked.shapes.split(",").map((shape) => shape.split("x").map(Number));
const cases = asked.dtypes
  .split(",")
  .flatMap((dtype) => shapes.flatMap(([n, k]) => asked.rows.split(",").map((m) => ({ dtype, m: Number(m), n, k }))));
const rows = [];
for (const path of asked.modules.split(",")) {
  if (existsSync(path)) rows.push(...(await measure(path)));
  else console.log(`${path} skipped: absent; run \`npm run build\` in the repository first`);
}
const show = (x) => x.toFixed(1);
const line = (r) => [
  r.module,
  r.dtype,
  r.shape,
  r.rows ?? "",
  show(r.rate.median),
  `${show(r.rate.q1)} – ${show(r.rate.q3)}`,
  r.share.median.toFixed(3),
  show(r.best),
  (r.best / rows.find((peak) => peak.module === r.module).best).toFixed(3),
];
if (rows.length)
  console.log(
    `${table(["module", "weights", "shape", "rows", "GOP/s", "quartiles", "of the peak", "best", "of the best"], rows.map(line), 3)}
peak: f32 multiply-adds in registers; weights of fewer bits may go beyond\n`,
  );
if (asked.json) writeFileSync(asked.json, `${JSON.stringify({ node: process.version, pace, rows }, null, 1)}\n`);

async function measure(path) {
  const module = basename(path, ".wasm");
  const peak = await multiplyAddLoop(module.includes("relaxed"));
  const samples = await interleave([peak.run, ...(await matmuls(path, cases, 1e6 * Number(asked.weights)))], pace);
  const rate = (operations, ms) => operations / ms / 1e6;
  const peaks = samples[0].map((s) => rate(peak.flops, s.cpu));
  return [
    {
      module,
      dtype: "peak",
      shape: "registers",
      rate: quartiles(peaks),
      best: Math.max(...peaks),
      share: quartiles([1]),
    },
    ...cases.map(({ dtype, m, n, k }, i) => {
      const rates = samples[i + 1].map((s) => rate(2 * m * n * k, s.cpu));
      const share = quartiles(rates.map((r, round) => r / peaks[round]));
      return { module, dtype, shape: `${n}x${k}`, rows: m, rate: quartiles(rates), best: Math.max(...rates), share };
    }),
  ];
}
