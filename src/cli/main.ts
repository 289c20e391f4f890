#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { FetchError, UnsupportedOptionError, WattentionError } from "../host/node.ts";
import { plain } from "../view/text.ts";
import { answer } from "./answer.ts";
import { attention } from "./attention.ts";
import { bench } from "./bench.ts";
import { demo } from "./demo.ts";
import { embed } from "./embed.ts";
import { generate } from "./generate.ts";
import { inspect } from "./inspect.ts";
import { common, endProgress, interrupt, signal, UsageError } from "./io.ts";
import { pack } from "./pack.ts";
import { rerank } from "./rerank.ts";
import { search } from "./search.ts";
import { serve } from "./serve.ts";
import { caption, recommend, summarize, transcribe, translate } from "./write.ts";

const { version } = JSON.parse(readFileSync(new URL("../../package.json", import.meta.url), "utf8"));
const program = new Command("wattention")
  .description("Transformers on the edge: vectors, search, text and attention, from Hugging Face folders.")
  .version(version)
  .exitOverride()
  .configureOutput({ outputError: (text, write) => write(text.replace(/^error:/, "wattention:")) })
  .configureHelp({ subcommandTerm: (c) => c.name() })
  .addHelpText(
    "after",
    "\nExit codes: 0 done, 1 failed, 2 the command line makes no sense, 130 Ctrl-C.\n`wattention <command> --help` has options and examples.",
  );
for (const c of [
  embed,
  search,
  rerank,
  answer,
  generate,
  translate,
  summarize,
  caption,
  transcribe,
  recommend,
  attention,
  inspect,
  pack,
  serve,
  bench,
  demo,
])
  program.addCommand(common(c).copyInheritedSettings(program));

/** Options of the command line by the names that the library has for them. */
const ASKED =
  /^(prompt_name|normalize|dtype|regex|json_schema.*|src_lang|tgt_lang|language|task|seed|t(emperature|op_[kp])|min_p)$/;

// A second Ctrl-C ends the process at once.
process.once("SIGINT", () => interrupt.abort());
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    // Whoever read us has read enough.
    if (error.code === "EPIPE") process.exit(0);
    console.error(`wattention: ${error.message}`);
    process.exit(1);
  });

try {
  await program.parseAsync();
} catch (error) {
  endProgress();
  const code = exitCode(error);
  if (code === 130) process.exit(code);
  process.exitCode = code;
  if (code && !(error instanceof CommanderError)) console.error(`wattention: ${message(error)}`);
}

function exitCode(error: unknown): number {
  if (signal.aborted) return 130;
  if (error instanceof CommanderError) return error.exitCode && 2;
  // Options that the library checks; those of a model's files name the file.
  const asked = error instanceof UnsupportedOptionError && ASKED.test(error.option);
  return error instanceof UsageError || asked ? 2 : 1;
}

/** One line. The stack only for who asks for it. */
function message(error: unknown): string {
  if (process.argv.includes("--verbose")) return String((error as Error)?.stack ?? error);
  const { message, cause } = error as Error;
  const system = /^E[A-Z]+: (.*), \w+ '(.*)'$/.exec(message);
  if (system) return plain(`${system[2]}: ${system[1]}`);
  if (error instanceof FetchError) {
    const hub = error.url.includes("/resolve/") ? "no such folder or file here, and on the hub: " : "";
    return plain(hub + message + because(cause));
  }
  const known = error instanceof WattentionError || error instanceof UsageError;
  return plain(known ? message : `${error} (--verbose shows where)`);
}

/** fetch says why in the cause of its error. */
function because(cause: unknown): string {
  const { message, cause: deeper } = (cause ?? {}) as Error;
  return deeper ? because(deeper) : message ? ` (${message})` : "";
}
