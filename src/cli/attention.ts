import { writeFile } from "node:fs/promises";
import { InvalidArgumentError, Option } from "commander";
import { pipeline, Tensor } from "../host/node.ts";
import { attentionHtml } from "../view/html.ts";
import { attentionRollout } from "../view/rollout.ts";
import { attentionSvg } from "../view/svg.ts";
import { attentionText } from "../view/terminal.ts";
import {
  bold,
  type CommonOptions,
  command,
  excerpt,
  loading,
  readText,
  screen,
  signal,
  standardInput,
  UsageError,
  whole,
  writeJson,
  writeLine,
} from "./io.ts";

interface Options extends CommonOptions {
  file?: string;
  layer: number;
  head: number | "mean";
  rollout?: boolean;
  pair?: string;
  skipSpecial?: boolean;
  svg?: string;
  html?: string;
}

/** The probabilities of one head, or the mean of all, of a layer's [1, H, T, T]. */
export function headOf(layer: Tensor, head: number | "mean"): Tensor {
  const heads = layer.row(0);
  const [H, T] = heads.dims;
  if (head !== "mean") return heads.row(head);
  const mean = new Float32Array(T * T);
  heads.data.forEach((p, i) => {
    mean[i % (T * T)] += p / H;
  });
  return new Tensor(mean, [T, T]);
}

/** A matrix [T, T] without the rows and columns that `mask` has a 1 for. */
export function without(mask: readonly number[], { data, dims: [, T] }: Tensor): Tensor {
  const kept = mask.flatMap((skip, i) => (skip ? [] : i));
  const of = kept.flatMap((row) => kept.map((column) => data[row * T + column]));
  return new Tensor(Float32Array.from(of), [kept.length, kept.length]);
}

/** A number that may count from the end. @throws UsageError if there is no such one */
function place(what: string, i: number, count: number): number {
  const at = i < 0 ? i + count : i;
  if (at < 0 || at >= count) throw new UsageError(`no ${what} ${i}: the model has ${count}, 0 to ${count - 1}`);
  return at;
}

const head = (value: string): number | "mean" => {
  if (value === "mean" || /^-?\d+$/.test(value)) return value === "mean" ? value : Number(value);
  throw new InvalidArgumentError('It must be a whole number or "mean".');
};

export const attention = command("attention", "Show what each token of a text attends to.", [
  'attention "The river bank was steep."',
  'attention "The river bank was steep." --layer 0 --head 3',
  'attention "The river bank was steep." --rollout --svg map.svg --html page.html',
])
  .argument("[text]", "without it: --file, or standard input, the whole of it")
  .option("-f, --file <path>", "the text; - is standard input")
  .option("--pair <text>", "a second text, which the model reads with the first")
  .option("-l, --layer <n>", "from 0 on; negative ones count from the end", whole(), -1)
  .addOption(new Option("-H, --head <n>", "from 0 on, or mean").argParser(head).default("mean"))
  .addOption(new Option("--rollout", "all layers together (arXiv:2005.00928)").conflicts(["layer", "head"]))
  .option("--skip-special", "leave out [CLS], [SEP] and their like, which draw most attention")
  .option("--svg <file>", "write the map as an image")
  .option("--html <file>", "write a page with all layers and heads")
  .action(async (arg: string | undefined, o: Options) => {
    if (arg !== undefined && o.file) throw new UsageError("a text and --file: give one of them");
    const text = (arg ?? (await readText(o.file ?? standardInput("text")))).replace(/\r?\n$/, "");
    const { model, tokenizer, dispose } = await pipeline("feature-extraction", o.model, loading(o));
    const { input_ids, token_type_ids, special_tokens_mask, ...encoding } = tokenizer.encode(text, {
      text_pair: o.pair,
      truncation: tokenizer.model_max_length !== undefined,
    });
    const types = "token_type_ids" in model.rules.sizes && { token_type_ids };
    const outputs = ["attentions"];
    const { attentions } = (await model.forward({ input_ids, ...types }, { outputs, signal })) as {
      attentions: Tensor[];
    };
    const layer = place("layer", o.layer, attentions.length);
    const head = o.head === "mean" ? "mean" : place("head", o.head, attentions[0].dims[1]);
    const whole = o.rollout ? attentionRollout(attentions) : headOf(attentions[layer], head);
    const mask = o.skipSpecial ? special_tokens_mask : special_tokens_mask.map(() => 0);
    const matrix = without(mask, whole);
    const tokens = encoding.tokens.filter((_, i) => !mask[i]);
    const which = o.rollout
      ? `rollout of ${attentions.length} layers`
      : `layer ${layer} of 0–${attentions.length - 1}, ${head === "mean" ? `mean of ${attentions[0].dims[1]} heads` : `head ${head} of 0–${attentions[0].dims[1] - 1}`}`;
    const title = excerpt(text, 0, 1);
    if (o.svg)
      await writeFile(o.svg, attentionSvg(matrix, { rows: tokens, columns: tokens, title: `${title}: ${which}` }));
    if (o.html) await writeFile(o.html, attentionHtml({ attentions, tokens: encoding.tokens, title }));
    if (o.json) {
      const chosen = o.rollout ? { rollout: true } : { layer, head };
      await writeJson({
        tokens,
        layers: attentions.length,
        heads: attentions[0].dims[1],
        ...chosen,
        attention: matrix.tolist(),
      });
    } else {
      await writeLine(`${bold(title)}\n${which}; rows attend to columns\n`);
      await writeLine(attentionText(matrix, tokens, screen));
    }
    for (const file of [o.svg, o.html]) if (file) console.error(`wrote ${file}`);
    dispose();
  });
