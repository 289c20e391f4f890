import { Op } from "../graph/op.ts";
import { loadModel } from "../host/node.ts";
import { platform } from "../platform.ts";
import { positionsOf } from "../runtime/batch.ts";
import type { Profiled } from "../runtime/session.ts";
import {
  bold,
  type CommonOptions,
  command,
  loading,
  megabytes,
  milliseconds,
  progress,
  signal,
  table,
  UsageError,
  whole,
  wholes,
  writeJson,
  writeLine,
} from "./io.ts";

interface Options extends CommonOptions {
  batch: number;
  length?: number[];
  seconds: number;
}

/** The op list's numbers by name; a new op that is not here does not compile. */
const OPS: { readonly [K in keyof typeof Op]: Op } = {
  matmul: Op.matmul,
  attention: Op.attention,
  embed: Op.embed,
  layer_norm: Op.layer_norm,
  rms_norm: Op.rms_norm,
  unary: Op.unary,
  glu: Op.glu,
  binary: Op.binary,
  rotary_table: Op.rotary_table,
  rotary: Op.rotary,
  pool: Op.pool,
  normalize: Op.normalize,
  softmax: Op.softmax,
  copy: Op.copy,
  pack: Op.pack,
  unfold: Op.unfold,
  top_k: Op.top_k,
  scatter: Op.scatter,
  experts: Op.experts,
};
const NAMES = new Map(Object.entries(OPS).map(([name, op]) => [op, name]));

/** What the ops of each kind took together, the longest first. */
function byOp(steps: readonly Profiled[]) {
  const kinds = new Map<Op, { op: string; count: number; ms: number; flops: number; bytes: number }>();
  for (const { op, milliseconds, gflops = 0, bytes } of steps) {
    const kind = kinds.get(op) ?? { op: NAMES.get(op)!, count: 0, ms: 0, flops: 0, bytes: 0 };
    kinds.set(op, kind);
    kind.count++;
    kind.ms += milliseconds;
    kind.flops += gflops * milliseconds * 1e6;
    kind.bytes += bytes;
  }
  return [...kinds.values()].sort((a, b) => b.ms - a.ms);
}

const median = (sorted: readonly number[]) => (sorted[(sorted.length - 1) >> 1] + sorted[sorted.length >> 1]) / 2;

export const bench = command("bench", "Time a model on this machine, with one thread.", [
  "bench",
  "bench --model ./all-MiniLM-L6-v2 --length 32 256 --batch 4",
])
  .option("-b, --batch <n>", "texts in a run", whole(1), 1)
  .option("-l, --length <n...>", "tokens of a text (default: 16 128 512)", wholes(1))
  .option("-s, --seconds <n>", "how long to measure", whole(1), 4)
  .action(async (o: Options) => {
    const begin = performance.now();
    using model = await loadModel(o.model ?? platform().shippedModel(), loading(o));
    const load_ms = performance.now() - begin;
    const { sizes } = model.rules;
    const most = positionsOf(model.rules);
    const long = o.length?.find((n) => n > most);
    if (long) throw new UsageError(`--length ${long}: the model takes ${most} tokens`);
    const lengths = (o.length ?? [16, 128, 512]).filter((n) => n <= most);

    // Ids from the later part of the vocabulary: no special tokens. Numbers as random as they need to be.
    const first = Math.ceil(sizes.input_ids / 8);
    let seed = 1;
    const id = () => {
      seed = (seed * 48271) % 0x7fffffff;
      return first + (seed % (sizes.input_ids - first));
    };
    const inputs = lengths.map((length) => ({
      length,
      input_ids: Array.from({ length: o.batch }, () => Array.from({ length }, id)),
      times: [] as number[],
    }));
    const measure = async (input: (typeof inputs)[0]) => {
      const start = performance.now();
      await model.forward({ input_ids: input.input_ids }, { signal });
      return performance.now() - start;
    };
    // Largest first, so that memory grows once; engines compile hot code while it runs, so the first runs do not count.
    const largestFirst = inputs.toReversed();
    const show = progress("measuring", o);
    const warm = performance.now();
    for (let i = 0; i < 3 || (performance.now() - warm < 500 && i < 50); i++)
      for (const input of largestFirst) await measure(input);
    const start = performance.now();
    const total = o.seconds * 1000;
    for (let round = 0, past = 0; past < total || round < 5; round++) {
      for (const input of largestFirst) input.times.push(await measure(input));
      past = performance.now() - start;
      show(Math.min(total, Math.round(past)), total, " ms");
    }

    const typical = inputs.find(({ length }) => length >= 128) ?? inputs.at(-1)!;
    let steps: Profiled[] = [];
    const sum = (list: readonly Profiled[]) => list.reduce((ms, s) => ms + s.milliseconds, 0);
    for (let i = 0; i < 5; i++) {
      const next = await model.profile({ input_ids: typical.input_ids }, { signal });
      if (!i || sum(next) < sum(steps)) steps = next;
    }

    const report = {
      model: o.model ?? "the one that ships",
      build: model.session.engine.build,
      batch: o.batch,
      load_ms,
      lengths: inputs.map(({ length, times }) => {
        const sorted = times.toSorted((a, b) => a - b);
        return {
          length,
          runs: sorted.length,
          median_ms: median(sorted),
          min_ms: sorted[0],
          plan: model.plan({ batch: o.batch, length }),
        };
      }),
      profile: { length: typical.length, ms: sum(steps), ops: byOp(steps) },
    };
    if (o.json) return writeJson(report);
    await writeLine(
      `${bold("model")}  ${report.model}; loaded in ${milliseconds(load_ms)}, ${report.build} build, one thread\n`,
    );
    const rows = report.lengths.map(({ length, runs, median_ms, min_ms, plan }) => [
      `${o.batch} × ${length}`,
      median_ms.toFixed(2),
      min_ms.toFixed(2),
      ((o.batch * length * 1000) / median_ms).toFixed(0),
      `${runs}`,
      megabytes(plan.total),
    ]);
    await writeLine(table(["tokens", "median ms", "least ms", "tokens/s", "runs", "memory"], rows));
    await writeLine(`\n${bold(`one run of ${o.batch} × ${typical.length} by op`)}`);
    const all = sum(steps);
    const ops = report.profile.ops.map(({ op, count, ms, flops, bytes }) => [
      op,
      `${count}`,
      ms.toFixed(2),
      `${((100 * ms) / all).toFixed(0)} %`,
      flops ? (flops / ms / 1e6).toFixed(1) : "-",
      (bytes / 1e6).toFixed(2),
      (bytes / ms / 1e6).toFixed(1),
    ]);
    await writeLine(table(["op", "count", "ms", "share", "GFLOP/s", "MB", "GB/s"], ops));
  });
