/** Commands that write text of texts, images and sounds, and the next items of a history. */

import { readFile } from "node:fs/promises";
import { InputError, pipeline } from "../host/node.ts";
import { modelFirst, type SamplingOptions, sampling } from "./generate.ts";
import {
  type CommonOptions,
  calling,
  command,
  dim,
  loading,
  reading,
  readTexts,
  type TextOptions,
  UsageError,
  whole,
  wholes,
  writeJson,
  writeLine,
} from "./io.ts";
import { needs } from "./rerank.ts";
import { readWav } from "./wav.ts";

interface Options extends CommonOptions, TextOptions, SamplingOptions {
  beams?: number;
  from?: string;
  to?: string;
  language?: string;
  task?: "transcribe" | "translate";
}

/** Options of generation that these commands have. */
const options = (o: Options) => ({ ...sampling(o), ...(o.beams && { num_beams: o.beams }) });

type Made = { [key: string]: string };

/** Results by what they are of: one a line, or JSON. */
async function show(of: readonly string[], made: readonly Made[], o: CommonOptions): Promise<void> {
  if (o.json) return writeJson(made.map((m, i) => ({ input: of[i], ...m })));
  for (const [i, m] of made.entries()) {
    const [text] = Object.values(m);
    await writeLine(made.length > 1 ? `${dim(`${of[i].slice(0, 40)}: `)}${text}` : text);
  }
}

const writing = (to: ReturnType<typeof command>) =>
  to
    .argument("[model]", "what --model says too")
    .argument("[inputs...]")
    .option("-n, --max-new-tokens <n>", "tokens to write; default: what the checkpoint says", whole(1))
    .option("--beams <n>", "ways to go on that are followed; default: what the checkpoint says", whole(1));

const inputsOf = (model: string | undefined, inputs: readonly string[], o: CommonOptions) =>
  modelFirst(model === undefined ? [...inputs] : [model, ...inputs], o);

export const translate = reading(
  writing(
    command("translate", "Translate texts, with an encoder-decoder such as NLLB, mBART, M2M-100, Marian or T5.", [
      'translate ./nllb-200-distilled-600M "A cat sleeps." --from eng_Latn --to deu_Latn --dtype q8',
      'translate ./t5-small "A cat sleeps." --from en --to de',
    ]),
  )
    .option("--from <language>", "as the model spells it")
    .option("--to <language>", "as the model spells it"),
).action(async (model: string | undefined, inputs: string[], o: Options) => {
  const [source, args] = inputsOf(model, inputs, o);
  const run = await needs(source, "a translation model", (model) => pipeline("translation", model, loading(o)));
  const texts = await readTexts(args, o);
  const languages = { ...(o.from && { src_lang: o.from }), ...(o.to && { tgt_lang: o.to }) };
  const made = await run(texts, { ...options(o), ...languages, ...calling("translating", o) });
  await show(texts, made as never, o);
  run.dispose();
});

export const summarize = reading(
  writing(
    command("summarize", "Summarize texts, with an encoder-decoder such as BART, Pegasus or T5.", [
      "summarize ./distilbart-cnn-6-6 --file article.txt --beams 4",
    ]),
  ),
).action(async (model: string | undefined, inputs: string[], o: Options) => {
  const [source, args] = inputsOf(model, inputs, o);
  const run = await needs(source, "a summarization model", (model) => pipeline("summarization", model, loading(o)));
  const texts = await readTexts(args, o);
  const made = await run(texts, { ...options(o), ...calling("summarizing", o) });
  await show(texts, made as never, o);
  run.dispose();
});

export const caption = writing(
  command("caption", "Say what images show, with a model of images to text.", [
    "caption ./vit-gpt2-image-captioning photo.jpg",
  ]),
).action(async (model: string | undefined, inputs: string[], o: Options) => {
  const [source, images] = inputsOf(model, inputs, o);
  if (!images.length) throw new UsageError("no image: give files or URLs (in Node they need the package sharp)");
  const run = await needs(source, "a captioning model", (model) => pipeline("image-to-text", model, loading(o)));
  const made = await run(images, { ...options(o), ...calling("looking", o) });
  await show(images, made.flat() as never, o);
  run.dispose();
});

export const transcribe = writing(
  command("transcribe", "Write what is said in WAV files, with Whisper: up to 30 seconds each.", [
    "transcribe ./whisper-tiny speech.wav --language en",
    "transcribe ./whisper-small rede.wav --task translate",
  ]),
)
  .option("--language <code>", "of the speech; default: what the model hears")
  .option("--task <task>", "transcribe, or translate into English", "transcribe")
  .action(async (model: string | undefined, inputs: string[], o: Options) => {
    const [source, files] = inputsOf(model, inputs, o);
    if (!files.length) throw new UsageError("no sound: give WAV files");
    const run = await needs(source, "a Whisper checkpoint", (model) =>
      pipeline("automatic-speech-recognition", model, loading(o)),
    );
    const sounds = await Promise.all(files.map(async (file) => readWav(await readFile(file), file)));
    const { language, task } = o;
    const how = { ...options(o), task, ...(language && { language }), ...calling("listening", o) };
    await show(files, (await run(sounds, how)) as never, o);
    run.dispose();
  });

interface RecommendOptions extends CommonOptions {
  topK: number;
  exclude?: number[];
  again?: boolean;
}

export const recommend = command("recommend", "Rank next items after a history of them, with SASRec.", [
  "recommend ./sasrec-ml1m 1533 2954 2151 --top-k 5 --exclude 10 19",
])
  .argument("[model]", "what --model says too")
  .argument("[items...]", "numbers of items, oldest first")
  .option("-k, --top-k <n>", "how many to give", whole(1), 10)
  .option("--exclude <item...>", "not to be given", wholes(1))
  .option("--again", "items of the history may be given again")
  .action(async (model: string | undefined, inputs: string[], o: RecommendOptions) => {
    const [source, args] = inputsOf(model, inputs, o);
    const items = args.map(Number);
    const odd = items.findIndex((n) => !Number.isSafeInteger(n));
    if (odd >= 0) throw new UsageError(`${args[odd]} is no item: they are whole numbers`);
    if (!items.length) throw new UsageError("no items: give their numbers, oldest first");
    const run = await needs(source, "a recommender (SASRec)", (model) => pipeline("recommendation", model, loading(o)));
    const found = await run(items, { top_k: o.topK, exclude: o.exclude ?? [], exclude_seen: !o.again });
    if (o.json) await writeJson(found);
    else if (!found.length) throw new InputError("no item is left to recommend");
    else for (const { item, score } of found) await writeLine(`${String(item).padStart(8)}  ${score.toFixed(4)}`);
    run.dispose();
  });
