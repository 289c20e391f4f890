import { openCheckpoint } from "../format/checkpoint.ts";
import { Config } from "../format/config.ts";
import { openModel } from "../format/open.ts";
import { type Json, readJson } from "../format/read.ts";
import type { ModelFolder } from "../format/source.ts";
import { open as openTokenizer } from "../format/tokenizer/prepared.ts";
import type { Shapes, Value } from "../graph/graph.ts";
import { MissingFileError, UnsupportedModelError, UnsupportedOptionError } from "../host/node.ts";
import { architectureOf } from "../models/families.ts";
import { buildGraph, dimsOf, type Extension, type LoadOptions, usual } from "../models/model.ts";
import { FAMILIES } from "../models/registry.ts";
import { platform } from "../platform.ts";
import { positionsOf } from "../runtime/batch.ts";
import { BASE } from "../runtime/engine.ts";
import { Layout } from "../runtime/session.ts";
import { sentenceModules } from "../tasks/featureExtraction.ts";
import { bold, type CommonOptions, command, loading, table, UsageError, whole, writeJson, writeLine } from "./io.ts";

interface Options extends CommonOptions {
  batch: number;
  length?: number;
  outputs?: string[];
}

const SENTENCE = "sentence_embedding.modules";

/** The model's graph laid out in memory: nothing is loaded for it. With `extend`, as the tasks over embeddings load it. */
async function layOut(
  config: Config,
  shapes: Shapes & ReadonlyMap<string, unknown>,
  extend: Extension | undefined,
  dtype: LoadOptions["dtype"],
  packed: boolean,
) {
  const found = await architectureOf(config, FAMILIES);
  const { graph, body, own, outputs } = buildGraph(found, config, shapes, extend);
  const { architecture } = found;
  const rules = architecture.rules(config);
  const attentions = body.attentions ?? (body.decoder_attentions as Value[] | undefined) ?? [];
  return {
    architecture,
    shape: {
      layers: attentions.length,
      heads: attentions[0]?.cols,
      hidden_size: body.last_hidden_state.cols,
      /** Of models that read text. */
      positions: "input_ids" in rules.sizes ? positionsOf(rules) : undefined,
      outputs: Object.keys(own),
    },
    /** The sentence's vector where a folder says how to make it, else all but what is kept for looking inside. */
    usual: extend
      ? Object.keys(outputs)
          .filter((name) => name.startsWith(SENTENCE))
          .slice(-1)
      : usual(own),
    layout: new Layout(graph.nodes, outputs, BASE, dtype, packed),
  };
}

/** Tensors that differ in numbers of their names alone, as one row: encoder.layer.{0…5}.… */
export function grouped(tensors: readonly { name: string; dtype: string; shape: readonly number[] }[]) {
  const groups = new Map<string, { names: string[]; dtype: string; dims: readonly number[] }>();
  for (const { name, dtype, shape } of tensors) {
    const key = `${name.replace(/\d+/g, "#")} ${dtype} ${shape}`;
    const group = groups.get(key) ?? { names: [], dtype, dims: shape };
    groups.set(key, group);
    group.names.push(name);
  }
  return [...groups.values()].map(({ names, ...rest }) => {
    const numbers = names.map((name) => name.match(/\d+/g) ?? []);
    let i = 0;
    const name = names[0].replace(/\d+/g, (first) => {
      const all = new Set(numbers.map((n) => n[i]));
      i++;
      return all.size > 1 ? `{${first}…${[...all].at(-1)}}` : first;
    });
    return { name, count: names.length, ...rest };
  });
}

/** What is said of a tokenizer: its parts, as tokenizer.json has them, and its tokens. */
async function tokenizerOf(folder: ModelFolder, read: (path: string) => Promise<Json | undefined>, prefix: string) {
  const prepared = await folder.packed?.tokenizer();
  if (prepared) {
    const { parts, vocab } = openTokenizer(prepared);
    return { json: parts as Json, size: vocab.size, config: parts.config as Json };
  }
  const json = (await read("tokenizer.json")) ?? (await read(`${prefix}tokenizer.json`));
  const listed = (json?.model as Json | undefined)?.vocab;
  return { json, size: Object.keys(listed ?? {}).length, config: await read("tokenizer_config.json") };
}

const typeOf = (json: Json | undefined, part: string): string | undefined => {
  const { type, pretokenizers, normalizers } = (json?.[part] ?? {}) as Record<string, unknown> & { type?: string };
  const inner = (pretokenizers ?? normalizers) as { type: string }[] | undefined;
  return inner?.map(({ type }) => type).join(" + ") ?? type;
};

export const inspect = command("inspect", "Say what a model is and what it needs, from its headers alone.", [
  "inspect",
  "inspect ./all-MiniLM-L6-v2 --batch 8 --length 256",
  "inspect sentence-transformers/all-MiniLM-L6-v2 --json",
])
  .argument("[model]", "as --model")
  .option("-b, --batch <n>", "plan memory for so many texts", whole(1), 1)
  .option("-l, --length <n>", "… of so many tokens; default: 128, or what the model takes", whole(1))
  .option("-o, --outputs <name...>", "… and for these outputs; default: what the folder is made for")
  .action(async (arg: string | undefined, { model: given, json, ...o }: Options) => {
    if (arg !== undefined && given !== undefined) throw new UsageError("a model and --model: give one of them");
    const { progress_callback, ...load } = loading(o);
    const folder = await openModel(arg ?? given ?? platform().shippedModel(), load);
    const { packed } = folder;
    if (packed && o.dtype && o.dtype !== packed.dtype) {
      await folder.close?.();
      throw new UnsupportedOptionError("dtype", o.dtype, [packed.dtype]);
    }
    const read = (path: string) => readJson(folder, path, load.signal);
    const { st, added } = await sentenceModules(folder, load.signal);
    const prefix = added.prefix ?? "";
    const raw = await read(`${prefix}config.json`);
    if (!raw) throw new MissingFileError(`${prefix}config.json`, folder.name);
    const config = new Config(raw);
    const checkpoints = [];
    for (const at of packed ? [] : [prefix, ...added.modules])
      checkpoints.push(await openCheckpoint(folder, { ...load, prefix: at }));
    for (const c of checkpoints) await c.close();
    const of = checkpoints.flatMap((c, i) =>
      [...c.tensors.values()].map((t) => (i ? { ...t, name: added.modules[i - 1] + t.name } : t)),
    );
    const shapes = packed?.shapes ?? new Map(of.map((t) => [t.name, t]));
    const tensors = packed ? [...packed.tensors.values()] : of;
    const dtype = packed ? (packed.dtype as LoadOptions["dtype"]) : o.dtype;

    let model: Awaited<ReturnType<typeof layOut>> | undefined;
    let unsupported: string | undefined;
    try {
      model = await layOut(config, shapes, st && added.extend, dtype, !!packed);
    } catch (error) {
      const refused = error instanceof UnsupportedModelError || error instanceof UnsupportedOptionError;
      if (!refused || ("option" in error && error.option === "dtype")) throw error;
      unsupported = error.message;
    }
    const { shape } = model ?? {};
    const { batch, outputs } = o;
    const most = shape?.positions ?? Number.POSITIVE_INFINITY;
    const length = o.length ?? (model?.architecture.dims ? undefined : Math.min(128, most));
    if (length && length > most) throw new UsageError(`--length ${length}: the model has ${most} positions`);
    const unknown = shape && outputs?.find((name) => !shape.outputs.includes(name));
    if (unknown) throw new UsageError(`--outputs: no "${unknown}"; the model has ${shape.outputs.join(", ")}`);
    const dims = model && dimsOf({ batch, length }, model.architecture, config);
    const memory = dims && model?.layout.plan(outputs ?? model.usual, dims);

    const { json: tokenizer, size, config: about } = await tokenizerOf(folder, read, prefix);
    await folder.close?.();
    const limit = about?.model_max_length as number | undefined;
    const sizes = Array.from(shapes.values(), ({ shape }) => shape.reduce((a, b) => a * b, 1));
    const report = {
      model: folder.name,
      model_type: config.model_type,
      architectures: config.strings("architectures"),
      unsupported,
      ...shape,
      modules: st?.modules,
      tokenizer: tokenizer && {
        model: typeOf(tokenizer, "model"),
        normalizer: typeOf(tokenizer, "normalizer"),
        pre_tokenizer: typeOf(tokenizer, "pre_tokenizer"),
        vocab_size: size,
        max_length: st?.max_seq_length ?? (limit && limit < 1e9 ? limit : undefined),
      },
      dtype,
      parameters: sizes.reduce((sum, n, i) => sum + (packed || /F/.test(of[i].dtype) ? n : 0), 0),
      bytes: packed?.bytes ?? checkpoints.reduce((sum, c) => sum + c.bytes, 0),
      plan: memory && { batch, length, outputs, ...memory },
      tensors: tensors.map(({ name, dtype, shape }) => ({ name, dtype, dims: shape })),
    };
    if (json) return writeJson(report);

    const { modules, tokenizer: t } = report;
    const number = (n: number) => n.toLocaleString("en");
    const steps = (modules ?? []).map((m) => {
      if (m.type === "pooling") return `pooling ${m.modes.join(" + ")}`;
      return m.type === "dense" ? `dense ${m.in} → ${m.out} ${m.activation}` : m.type;
    });
    const rows: [string, string | undefined][] = [
      ["model", report.model],
      ["type", [report.model_type, ...report.architectures].join(", ")],
      ["runs", unsupported && `no: ${unsupported}`],
      ["shape", shape && `${shape.layers} layers, ${shape.heads} heads, hidden size ${shape.hidden_size}`],
      ["positions", shape?.positions ? (Number.isFinite(most) ? number(most) : "no limit") : undefined],
      ["modules", steps.join(", ")],
      ["outputs", shape?.outputs.join(", ")],
      ["tokenizer", t && [t.model, t.normalizer, t.pre_tokenizer].filter(Boolean).join(", ")],
      ["", t && `${number(t.vocab_size)} tokens${t.max_length ? `, texts are cut at ${t.max_length}` : ""}`],
      ["packed", packed && `as ${packed.dtype}`],
      ["weights", `${number(report.parameters)} parameters in ${number(report.bytes)} bytes`],
      ["memory", memory && `${number(memory.total)} bytes for ${batch} × ${dims!.T / batch} tokens:`],
      ["", memory && `${number(memory.weights)} weights, ${number(memory.scratch)} scratch, in whole pages`],
    ];
    for (const [name, text] of rows) if (text) await writeLine(`${bold(name.padEnd(10))} ${text}`);
    await writeLine();
    const cells = grouped(tensors).map(({ name, count, dtype, dims }) => [
      count > 1 ? `${count} ×` : "",
      dtype,
      `[${dims.join(", ")}]`,
      name,
    ]);
    await writeLine(table(["", "dtype", "dims", "tensor"], cells));
  });
