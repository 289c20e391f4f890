/** What all commands share: their options, where texts come from, where results go, progress, and Ctrl-C. */

import { once } from "node:events";
import { readFile } from "node:fs/promises";
import { addAbortSignal } from "node:stream";
import { SingleBar } from "cli-progress";
import { Command, InvalidArgumentError, Option } from "commander";
import { InputError, type LoadOptions } from "../host/node.ts";
import { clip, width } from "../view/text.ts";

/** Fires on Ctrl-C. */
export const interrupt = new AbortController();
export const { signal } = interrupt;

/** The command line makes no sense: exit code 2. */
export class UsageError extends Error {}

export interface CommonOptions {
  model?: string;
  endpoint?: string;
  revision?: string;
  deterministic?: boolean;
  dtype?: LoadOptions["dtype"];
  json?: boolean;
}

export interface TextOptions {
  file?: string[];
  jsonl?: boolean;
}

const { stdout, stderr, stdin } = process;
const color = stdout.isTTY && stdout.hasColors(256) && !process.env.NO_COLOR;
const styled = (code: number) => (text: string) => (color ? `\x1b[${code}m${text}\x1b[0m` : text);
export const bold = styled(1);
export const dim = styled(2);

/** How results are drawn: `columns` wide. */
export const screen = { color, width: Math.max(40, (stdout.isTTY && stdout.columns) || 80) };

/** A command. `examples` begin behind the program's name. */
export const command = (name: string, description: string, examples: readonly string[]): Command =>
  new Command(name)
    .description(description)
    .summary(description.split(/[:,.]/)[0])
    .addHelpText("after", `\nExamples:\n${examples.map((e) => `  wattention ${e}`).join("\n")}`);

/** Adds the options that all commands have. */
export const common = (to: Command): Command =>
  to
    .option(
      "-m, --model <source>",
      "folder, weights file, packed model, URL or hub id; default: the embedder that ships",
    )
    .addOption(new Option("--endpoint <url>", "the hub").env("HF_ENDPOINT"))
    .option("--revision <name>", "branch, tag or commit on the hub")
    .option("--dtype <name>", "keep weights as f32, q8, q8-exact or q4; a packed model is what it is")
    .option("--deterministic", "the same bits on every machine (no fused multiply-add)")
    .option("--json", "one JSON document on standard output, no progress")
    .option("--verbose", "show the stack of an error");

/** The options of commands that read texts; `lines` says what a line is. */
export const reading = (to: Command, lines = "texts") =>
  to
    .option("-f, --file <path...>", `files of ${lines}, one a line; - is standard input`)
    .option("--jsonl", 'lines are JSON: a string or { "text": … }');

/** An argument parser for numbers within bounds. */
export const whole =
  (min?: number) =>
  (value: string): number => {
    const n = /^-?\d+$/.test(value) ? Number(value) : Number.NaN;
    if (Number.isSafeInteger(n) && n >= (min ?? n)) return n;
    throw new InvalidArgumentError(`It must be a whole number${min === undefined ? "" : ` from ${min} on`}.`);
  };

/** As `whole`, for an option that takes several. */
export const wholes =
  (min?: number) =>
  (value: string, before: number[] = []): number[] => [...before, whole(min)(value)];

let bar: SingleBar | undefined;

/** A bar on a terminal's standard error, once work has taken long enough for one to wonder. */
export function progress(label: string, { json }: CommonOptions) {
  const begin = performance.now();
  return (done: number, total: number, unit = "") => {
    if (json || !stderr.isTTY) return;
    if (!bar && done < total && performance.now() - begin > 300) {
      const format = `${label} {bar} {percentage}%  {value}/{total}${unit}  {eta_formatted} left`;
      // cli-progress would end the process on Ctrl-C by itself.
      bar = new SingleBar({ format, barsize: 24, clearOnComplete: true, gracefulExit: false, stream: stderr });
      bar.start(total, done);
    }
    bar?.update(done);
    if (done >= total) endProgress();
  };
}

export function endProgress(): void {
  bar?.stop();
  bar = undefined;
}

/** What every load takes. */
export function loading(options: CommonOptions): LoadOptions {
  const show = progress("loading", options);
  const MB = (bytes: number) => Math.round(bytes / 1e6);
  return {
    signal,
    endpoint: options.endpoint,
    revision: options.revision,
    deterministic: options.deterministic,
    dtype: options.dtype,
    progress_callback: ({ loaded, total, status }) =>
      status === "done" ? endProgress() : show(MB(loaded), MB(total), " MB"),
  };
}

/** What every call takes. */
export function calling(label: string, options: CommonOptions) {
  const show = progress(label, options);
  return { signal, progress_callback: ({ done, total }: { done: number; total: number }) => show(done, total) };
}

/** A whole text file; "-" is standard input. */
export async function readText(path: string): Promise<string> {
  let bytes: Uint8Array;
  if (path === "-") {
    const chunks: Uint8Array[] = [];
    for await (const chunk of addAbortSignal(signal, stdin)) chunks.push(chunk);
    bytes = Buffer.concat(chunks);
  } else bytes = await readFile(path, { signal });
  try {
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch {
    throw new InputError(`${path === "-" ? "standard input" : path} is no UTF-8 text`);
  }
}

/** @throws UsageError where a person would be left before a terminal that waits without a word */
export function standardInput(what: string): "-" {
  if (stdin.isTTY) throw new UsageError(`no ${what}: give it as an argument, by --file, or on standard input`);
  return "-";
}

/** Texts from arguments and files; where there are neither, from standard input. Empty lines are texts only if `blanks`. */
export async function readTexts(
  args: readonly string[],
  { file, jsonl }: TextOptions,
  what = "text",
  blanks = false,
): Promise<string[]> {
  const texts = [...args];
  for (const path of file ?? (args.length ? [] : [standardInput(what)])) {
    const lines = (await readText(path)).split(/\r?\n/);
    if (!lines.at(-1)) lines.pop();
    for (const [i, line] of lines.entries())
      if (blanks || line.trim()) texts.push(jsonl ? textOf(line, `${path}:${i + 1}`) : line);
  }
  return texts;
}

function textOf(line: string, where: string): string {
  let value: unknown;
  try {
    value = JSON.parse(line);
  } catch {}
  const text = typeof value === "object" && value ? (value as { text?: unknown }).text : value;
  if (typeof text !== "string") throw new InputError(`${where} is neither a JSON string nor an object with a text`);
  return text;
}

/** Writes to standard output and waits while its reader is slower. */
export async function write(data: string | Uint8Array): Promise<void> {
  if (!stdout.write(data)) await once(stdout, "drain", { signal });
}

export const writeLine = (text = ""): Promise<void> => write(`${text}\n`);
export const writeJson = (value: unknown): Promise<void> => writeLine(JSON.stringify(value, null, 2));

/** The fewest digits that give the same f32 back. */
export function digits(x: number): string {
  for (let p = 6; p < 9; p++) if (Math.fround(+x.toPrecision(p)) === x) return String(+x.toPrecision(p));
  return String(+x.toPrecision(9));
}

/** The start of a text on `lines` lines under each other, `indent` columns in. */
export function excerpt(text: string, indent: number, lines = 2): string {
  const room = screen.width - indent;
  const rows = [""];
  for (const part of text
    .slice(0, room * lines * 4)
    .trim()
    .split(/\s+/)) {
    const word = clip(part, room);
    const row = rows.at(-1)!;
    const longer = row ? `${row} ${word}` : word;
    if (width(longer) <= room) rows[rows.length - 1] = longer;
    else if (rows.length < lines) rows.push(word);
    else {
      rows[rows.length - 1] = width(row) + 2 <= room ? `${row} …` : clip(`${row} …`, room);
      break;
    }
  }
  return rows.map((row) => " ".repeat(indent) + row).join("\n");
}

export const megabytes = (bytes: number): string => `${(bytes / 1e6).toFixed(bytes < 1e8 ? 1 : 0)} MB`;

export const milliseconds = (ms: number): string =>
  ms < 1000 ? `${ms.toFixed(ms < 10 ? 1 : 0)} ms` : `${(ms / 1000).toFixed(1)} s`;

/** Rows of cells under a head: a column whose cells begin like numbers stands to the right, but for the first. */
export function table(head: readonly string[], rows: readonly (readonly string[])[]): string {
  const all = [head, ...rows];
  const columns = head.map((_, c) => ({
    width: Math.max(...all.map((row) => row[c].length)),
    right: c > 0 && rows.every((row) => /^[\d-]/.test(row[c])),
  }));
  const line = (row: readonly string[]) =>
    row
      .map((text, c) => text[columns[c].right ? "padStart" : "padEnd"](columns[c].width))
      .join("  ")
      .trimEnd();
  return [dim(line(head)), ...rows.map(line)].join("\n");
}
