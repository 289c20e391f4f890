import { InputError, UnsupportedOptionError } from "../errors.ts";
import { AudioProcessor, type Samples } from "../format/audio/processor.ts";
import type { ModelSource } from "../format/source.ts";
import type { Token } from "../generate/loop.ts";
import type { LoadOptions } from "../models/model.ts";
import { streamed, type WritingOptions, written } from "./generation.ts";
import { given, processorConfig } from "./images.ts";
import { choice } from "./scores.ts";
import { type Task, TextModel, task } from "./text.ts";

export interface SpeechRecognitionOptions extends WritingOptions {
  /** Of the speech: its code (`en`) or its English name. Default: what the model hears; checkpoints of one language have no other. */
  language?: string;
  /** To write what is said, or its English translation. Default "transcribe". */
  task?: "transcribe" | "translate";
  /** Only false is here. */
  return_timestamps?: false;
}

/** Samples of one channel at the model's rate, or at theirs. */
export type Sound = Samples | { readonly raw: Samples; readonly sampling_rate: number };

/** What is said, in up to 30 seconds of sound. */
export type AutomaticSpeechRecognition = Task<{
  (sound: Sound, options?: SpeechRecognitionOptions): Promise<{ text: string }>;
  (sounds: readonly Sound[], options?: SpeechRecognitionOptions): Promise<{ text: string }[]>;
}> & {
  /** The tokens of one sound, as they are made. */
  stream(sound: Sound, options?: SpeechRecognitionOptions): AsyncGenerator<Token, void, undefined>;
};

const isSound = (x: unknown): x is Sound =>
  ArrayBuffer.isView(x) ||
  typeof (x as readonly unknown[])?.[0] === "number" ||
  (x as { raw?: unknown })?.raw !== undefined;

/** @throws InputError unless the model is Whisper */
export async function automaticSpeechRecognition(
  source?: ModelSource,
  options: LoadOptions = {},
): Promise<AutomaticSpeechRecognition> {
  const name = "automatic-speech-recognition";
  let processor: AudioProcessor | undefined;
  let seconds = 30;
  const text = await TextModel.load(given(name, source), options, async (folder) => {
    const config = await processorConfig(folder, options.signal);
    processor = AudioProcessor.from(config);
    seconds = Number(config.chunk_length ?? seconds);
    return {};
  });
  const { model, tokenizer } = text;
  if (model.config.model_type !== "whisper") {
    model.dispose();
    throw new InputError(`${name} needs a Whisper checkpoint, not ${model.config.model_type}`);
  }
  const { generation } = model;
  const languages = new Map(
    Object.entries((generation.lang_to_id ?? {}) as { [token: string]: number }).map(([token, id]) => [
      token.replace(/^<\||\|>$/g, ""),
      id,
    ]),
  );
  const multilingual = generation.is_multilingual === true || languages.size > 0;
  const token = (written: string): number => {
    const id = tokenizer.id(written);
    if (id === undefined) throw new InputError(`the tokenizer has no ${written}`);
    return id;
  };

  const languageOf = (language: string): number => {
    if (!multilingual)
      throw new UnsupportedOptionError("language", language, ["none: the checkpoint has one language"]);
    const code = language.toLowerCase().replace(/^<\||\|>$/g, "");
    const known = languages.get(code);
    if (known !== undefined) return known;
    const names = new Intl.DisplayNames(["en"], { type: "language" });
    const found = [...languages].find(([code]) => names.of(code)?.toLowerCase() === language.toLowerCase());
    if (!found) throw new UnsupportedOptionError("language", language, [...languages.keys()]);
    return found[1];
  };

  /** Features of one sound, and the tokens that say what is to be written of it. */
  const begun = async (sound: Sound, o: SpeechRecognitionOptions) => {
    const { language, task: kind = "transcribe", return_timestamps, ...writing } = o;
    choice("task", kind, ["transcribe", "translate"]);
    if (return_timestamps) throw new UnsupportedOptionError("return_timestamps", return_timestamps, [false]);
    if (!multilingual && kind === "translate") throw new UnsupportedOptionError("task", kind, ["transcribe"]);
    const from = language === undefined ? undefined : languageOf(language);
    const { raw, sampling_rate = processor!.sampling_rate } =
      "raw" in sound ? sound : { raw: sound as Samples, sampling_rate: undefined };
    if (raw.length > seconds * sampling_rate)
      throw new InputError(
        `a sound of ${(raw.length / sampling_rate).toFixed(1)} s; up to ${seconds} s are read at once: cut it`,
      );
    const { input_features } = processor!.process(raw, { sampling_rate });
    const start = model.config.int("decoder_start_token_id", { min: 0 });
    const ids = [start];
    if (multilingual) {
      ids.push(from ?? (await heard({ input_features, decoder_input_ids: [ids] }, o.signal)));
      ids.push(token(`<|${kind}|>`));
    }
    ids.push(Number(generation.no_timestamps_token_id ?? token("<|notimestamps|>")));
    return { start: { inputs: { input_features, decoder_input_ids: [ids] }, prompt: ids.length }, writing };
  };
  /** The likeliest language. */
  const heard = async (inputs: Parameters<typeof model.generate>[0], signal?: AbortSignal): Promise<number> => {
    const only = new Set(languages.values());
    const logits_processor = (_: readonly number[], scores: Float32Array) => {
      for (let id = 0; id < scores.length; id++) if (!only.has(id)) scores[id] = Number.NEGATIVE_INFINITY;
    };
    const plain = {
      do_sample: false,
      num_beams: 1,
      num_return_sequences: 1,
      begin_suppress_tokens: [],
      suppress_tokens: [],
    };
    const [ids] = await model.generate(inputs, { ...plain, max_new_tokens: 1, logits_processor, signal });
    return ids[ids.length - 1];
  };

  const call = async (given: Sound | readonly Sound[], o: SpeechRecognitionOptions = {}) => {
    const one = isSound(given);
    const sounds = (one ? [given] : given) as readonly Sound[];
    if (!Array.isArray(sounds) || !sounds.every(isSound))
      throw new InputError("a sound must be samples, or { raw: samples, sampling_rate }");
    const found: { text: string }[] = [];
    for (const sound of sounds) {
      const { start, writing } = await begun(sound, o);
      const [ids] = await written(text, start, writing, true);
      found.push({ text: tokenizer.decode(ids, { skip_special_tokens: true }) });
      o.progress_callback?.({ done: found.length, total: sounds.length });
    }
    return one ? found[0] : found;
  };
  return Object.assign(task(text, call as never), {
    async *stream(sound: Sound, o: SpeechRecognitionOptions = {}) {
      const { start, writing } = await begun(sound, o);
      yield* streamed(text, start, writing, true);
    },
  }) as AutomaticSpeechRecognition;
}
