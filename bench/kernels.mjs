/**
 * The matmul kernel by itself: GFLOP/s for the shapes of MiniLM's Linear layers, against a loop of multiply-adds that touches registers alone, in
 * interleaved rounds, by processor time. Results are checked against a plain double-precision sum. Calls the module's `run` with records of one op.
 */
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import asc from "assemblyscript/asc";
import { constEnums } from "./material.mjs";
import { interleave, quartiles, table } from "./measure.mjs";

const root = (path) => fileURLToPath(new URL(`../${path}`, import.meta.url));
const { values: options } = parseArgs({
  options: {
    modules: { type: "string", default: `${root("dist/wasm/relaxed.wasm")},${root("dist/wasm/simd.wasm")}` },
    rows: { type: "string", default: "17,120,128" },
    shapes: { type: "string", default: "384x384,1536x384,384x1536" },
    weights: { type: "string", default: "0" },
    rounds: { type: "string", default: "15" },
    turn: { type: "string", default: "10" },
    warmup: { type: "string", default: "200" },
    json: { type: "string" },
    help: { type: "boolean", default: false },
  },
});
if (options.help) {
  console.log(`usage: node kernels.mjs [options]
  --modules LIST  .wasm files (default ../dist/wasm/relaxed.wasm and simd.wasm)
  --rows LIST     rows of activations (default 17,120,128)
  --shapes LIST   weights, outputs x inputs (default 384x384,1536x384,384x1536)
  --weights MB    cycle through so many bytes of weights, as a model does (default 0: one matrix, in the cache;
                  the Linear layers of MiniLM have 42)
  --rounds N, --turn MS, --warmup MS, --json FILE`);
  process.exit(0);
}
const pace = { rounds: Number(options.rounds), turn: Number(options.turn), warmup: Number(options.warmup) };
const op = constEnums(readFileSync(root("src/graph/op.ts"), "utf8"));
const cycled = 1e6 * Number(options.weights);
const shapes = options.shapes.split(",").map((shape) => shape.split("x").map(Number));
const rows = [];
for (const path of options.modules.split(",")) {
  if (existsSync(path)) rows.push(...(await measure(path)));
  else console.log(`${path} skipped: absent; run \`npm run build\` in the repository first`);
}
const show = (x) => x.toFixed(1);
if (rows.length)
  console.log(
    table(
      ["module", "weights", "rows", "GFLOP/s", "quartiles", "of the peak", "best", "of the best"],
      rows.map((r) => [
        r.module,
        r.shape,
        r.rows ?? "",
        show(r.rate.median),
        `${show(r.rate.q1)} – ${show(r.rate.q3)}`,
        r.share.median.toFixed(3),
        show(r.best),
        (r.best / rows.find((peak) => peak.module === r.module).best).toFixed(3),
      ]),
    ),
  );
if (options.json) writeFileSync(options.json, `${JSON.stringify({ node: process.version, pace, rows }, null, 1)}\n`);

async function measure(path) {
  const relaxed = basename(path).includes("relaxed");
  const peak = await multiplyAddLoop(relaxed);
  const cases = options.rows.split(",").flatMap((m) => shapes.map(([n, k]) => ({ m: Number(m), n, k })));
  const kernel = await matmuls(path, cases);
  const samples = await interleave([peak.run, ...kernel], pace);
  const rate = (flops, ms) => flops / ms / 1e6;
  const peaks = samples[0].map((s) => rate(peak.flops, s.cpu));
  const module = basename(path, ".wasm");
  return [
    { module, shape: "registers", rate: quartiles(peaks), best: Math.max(...peaks), share: quartiles([1]) },
    ...cases.map(({ m, n, k }, i) => {
      const rates = samples[i + 1].map((s) => rate(2 * m * n * k, s.cpu));
      const share = quartiles(rates.map((r, round) => r / peaks[round]));
      return { module, shape: `${n}x${k}`, rows: m, rate: quartiles(rates), best: Math.max(...rates), share };
    }),
  ];
}

/** One callable a case, all in one memory: activations, panels [n/8][k][8] and outputs each have a place of their own. */
async function matmuls(path, cases) {
  const bytes = readFileSync(path);
  const memory = new WebAssembly.Memory({ initial: 1024 + Math.ceil(cycled / 65536) });
  const { exports } = (await WebAssembly.instantiate(bytes, { env: { memory } })).instance;
  const f32 = new Float32Array(memory.buffer);
  const i32 = new Int32Array(memory.buffer);
  const word = op.Matmul;
  let free = 1 << 20;
  const place = (words) => {
    const at = free;
    free += (4 * words + 63) & ~63;
    return at;
  };
  const random = (words) => {
    const at = place(words);
    for (let i = 0; i < words; i++) f32[at / 4 + i] = Math.random() - 0.5;
    return at;
  };
  const weights = random(Math.max(cycled / 4, ...cases.map(({ n, k }) => n * k)));
  return cases.map(({ m, n, k }) => {
    const [a, bias, out, scratch] = [random(m * k), random(n), place(m * n), place((m + 6) * k + 65536)];
    const matrices = Math.max(1, Math.floor(cycled / (4 * n * k)));
    const record = (b) => {
      const at = place(op.Record.words);
      const set = { a, b, bias, n, k, ldo: n, lda: k, ldr: n, scratch };
      i32[at / 4 + op.Record.op] = op.Op.matmul;
      i32[at / 4 + op.Record.rows] = m;
      i32[at / 4 + op.Record.out] = out;
      for (const [name, value] of Object.entries(set)) i32[at / 4 + word[name]] = value;
      return at;
    };
    const records = Array.from({ length: matrices }, (_, i) => record(weights + 4 * n * k * i));
    let next = 0;
    const run = () => {
      exports.run(records[next], 0, 1, 0, 1);
      next = (next + 1) % matrices;
    };
    run();
    for (const [i, j] of [
      [0, 0],
      [m - 1, n - 1],
      [m >> 1, n >> 1],
    ]) {
      let sum = f32[bias / 4 + j];
      let size = 1;
      for (let p = 0; p < k; p++) {
        const term = f32[a / 4 + i * k + p] * f32[weights / 4 + (j >> 3) * k * 8 + p * 8 + (j & 7)];
        sum += term;
        size += Math.abs(term);
      }
      const got = f32[out / 4 + i * n + j];
      if (!(Math.abs(got - sum) <= k * 2 ** -24 * size)) throw new Error(`${path} [${i}, ${j}]: ${got} for ${sum}`);
    }
    return run;
  });
}

/** Twelve chains c = c · x + y, as many as a tile has: nothing but multiply-adds that do not wait for one another. */
async function multiplyAddLoop(relaxed) {
  const chains = [...Array(12).keys()];
  const step = (c) => (relaxed ? `f32x4.relaxed_madd(${c}, x, y)` : `f32x4.add(f32x4.mul(${c}, x), y)`);
  const source = `export function peak(p: usize, n: i32): void {
    const x = v128.load(p), y = v128.load(p, 16);
    ${chains.map((i) => `let c${i} = v128.load(p, ${32 + 16 * i});`).join("\n")}
    for (let i = 0; i < n; i++) { ${chains.map((i) => `c${i} = ${step(`c${i}`)};`).join(" ")} }
    ${chains.map((i) => `v128.store(p, c${i}, ${32 + 16 * i});`).join("\n")}
  }`;
  const { binary, error, stderr } = await asc.compileString(source, {
    runtime: "stub",
    optimizeLevel: 3,
    initialMemory: 1,
    enable: relaxed ? ["simd", "relaxed-simd"] : ["simd"],
  });
  if (error) throw new Error(stderr.toString());
  const { exports } = (await WebAssembly.instantiate(binary, {})).instance;
  new Float32Array(exports.memory.buffer, 1024, 64).forEach((_, i, all) => {
    all[i] = i < 4 ? 0.5 : 1 + i / 64;
  });
  const steps = 20000;
  return { run: () => exports.peak(1024, steps), flops: steps * chains.length * 4 * 2 };
}
