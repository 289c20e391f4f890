import { FormatError, InputError } from "../errors.ts";
import { Aligned } from "./tokenizer/aligned.ts";
import type { ChatTemplateOptions, ChatTemplates, Message } from "./tokenizer/chat.ts";
import { cleaned, type Decoder, decoder, decoderSteps, spelledBytes } from "./tokenizer/decoder.ts";
import { type Model, model } from "./tokenizer/model.ts";
import { type Normalizer, normalizer } from "./tokenizer/normalizer.ts";
import { anyOf, isId, malformed, type Part, passSpace, utf8, WORD } from "./tokenizer/part.ts";
import { type PostProcessor, postProcessor, type Row, type Slot, trimmed } from "./tokenizer/postProcessor.ts";
import { open, type Prepared, type Vocab } from "./tokenizer/prepared.ts";
import { type PreTokenizer, preTokenizer } from "./tokenizer/preTokenizer.ts";
import { type DecodeOptions, TextStream } from "./tokenizer/stream.ts";

/** What a text, or a pair of texts, becomes. Each list has one entry per token. */
export interface Encoding {
  input_ids: number[];
  token_type_ids: number[];
  tokens: string[];
  /** 1 for tokens that the template adds, 0 for all that stand in a text. */
  special_tokens_mask: number[];
  /** 0 for tokens of the text, 1 for tokens of `text_pair`, null for tokens that the template adds. */
  sequence_ids: (0 | 1 | null)[];
  /** The number of the word in its own text, as the pre-tokenizer splits words; null for tokens that the template adds. */
  word_ids: (number | null)[];
  /**
   * Where each token stands in its own text, in UTF-16 units: `text.slice(from, to)` shows it (transformers counts code points).
   * [0, 0] for tokens that the template adds.
   */
  offsets: [from: number, to: number][];
  /** With `return_overflowing_tokens`: the further windows over what truncation cut off. */
  overflowing?: Encoding[];
}

export interface EncodeOptions {
  text_pair?: string;
  /** Default true. */
  add_special_tokens?: boolean;
  /** true stands for longest_first. Left out, it is true if there is a `max_length`. */
  truncation?: boolean | "longest_first" | "only_first" | "only_second";
  /** Tokens of the whole encoding, those of the template included. Default, where truncation is asked for: model_max_length. */
  max_length?: number;
  /** Tokens that a window shares with the one before it. Default 0. */
  stride?: number;
  return_overflowing_tokens?: boolean;
}

interface AddedToken {
  readonly content: string;
  readonly id: number;
  readonly single_word?: boolean;
  readonly lstrip?: boolean;
  readonly rstrip?: boolean;
  readonly normalized?: boolean;
  readonly special?: boolean;
}

const SPECIAL = ["mask", "cls", "sep", "pad", "unk", "bos", "eos"];

/** Windows of `max` of `length` tokens, each sharing `stride` with the one before; from the end on if `left`. */
function windows(length: number, max: number, stride: number, left: boolean): [start: number, end: number][] {
  if (max >= length) return [[0, length]];
  if (max === 0)
    return [
      [0, 0],
      [0, length],
    ];
  if (!Number.isInteger(stride) || stride < 0 || stride >= max)
    throw new InputError(`stride ${stride} leaves no step for windows of ${max} tokens`);
  const found: [number, number][] = [];
  for (let at = 0; ; at += max - stride) {
    const end = Math.min(at + max, length);
    found.push(left ? [length - end, length - at] : [at, end]);
    if (end === length) return found;
  }
}

function assemble(slots: readonly Slot[], texts: readonly Row[][]): Encoding {
  const made: Encoding = {
    input_ids: [],
    token_type_ids: [],
    tokens: [],
    special_tokens_mask: [],
    sequence_ids: [],
    word_ids: [],
    offsets: [],
  };
  for (const { sequence, type_id, ids, tokens } of slots) {
    const none = sequence === undefined;
    const rows = none ? tokens.map((token, i): Row => [token, ids[i], 0, 0, 0]) : texts[sequence];
    for (const [token, id, from, to, word] of rows) {
      made.input_ids.push(id);
      made.token_type_ids.push(type_id);
      made.tokens.push(token);
      made.special_tokens_mask.push(none ? 1 : 0);
      made.sequence_ids.push(sequence ?? null);
      made.word_ids.push(none ? null : word);
      made.offsets.push([from, to]);
    }
  }
  return made;
}

/**
 * The tokenizer of a Hugging Face folder: the ids, windows and offsets of transformers' fast tokenizers. All of it is made from a
 * prepared tokenizer, which `load` prepares first.
 */
export class Tokenizer {
  /** WordPiece, BPE, Unigram or WordLevel. */
  readonly model_type: string;
  /** The model's limit as tokenizer_config.json has it; undefined where it has none (transformers' 1e30). */
  readonly model_max_length?: number;
  declare readonly mask_token?: string;
  declare readonly mask_token_id?: number;
  declare readonly cls_token?: string;
  declare readonly cls_token_id?: number;
  declare readonly sep_token?: string;
  declare readonly sep_token_id?: number;
  declare readonly pad_token?: string;
  declare readonly pad_token_id?: number;
  declare readonly unk_token?: string;
  declare readonly unk_token_id?: number;
  declare readonly bos_token?: string;
  declare readonly bos_token_id?: number;
  declare readonly eos_token?: string;
  declare readonly eos_token_id?: number;

  readonly #vocab: Vocab;
  readonly #model: Model;
  readonly #normalize: Normalizer;
  readonly #split: PreTokenizer;
  readonly #post: PostProcessor;
  readonly #decode: Decoder;
  readonly #steps: readonly Part[];
  /** Whether tokens stand for bytes, a run of which becomes text together; whether decoding takes characters off a text's end. */
  readonly byte_fallback: boolean;
  readonly strips: boolean;
  /** Added tokens as they stand in the text (0) and in the normalised text (1), and what finds them. */
  readonly #added: readonly (readonly [tokens: Map<string, AddedToken>, pattern: RegExp | undefined])[];
  /** The ids of all added tokens, and how they are written. */
  readonly #ids = new Map<string, number>();
  readonly #written = new Map<number, string>();
  readonly #special = new Set<number>();
  readonly #config: Part;

  /**
   * @param tokenizer tokenizer.json, parsed. Its `truncation` and `padding` are not used: the arguments of a call decide.
   * @param config tokenizer_config.json, parsed, where there is one.
   * @throws FormatError that names what is malformed, missing or not supported.
   */
  static async load(tokenizer: unknown, config?: unknown): Promise<Tokenizer> {
    const prepared = await (await import("./tokenizer/prepare.ts")).prepareTokenizer(tokenizer, config);
    return Tokenizer.loadPrepared(prepared);
  }

  /**
   * Loads what `prepareTokenizer` (tokenizer/prepare.ts) made: the same tokenizer as `load` gives, in a millisecond or two.
   * @param prepared Read as long as the tokenizer lives; must not change.
   * @throws FormatError if the bytes are of another version, cut short or malformed.
   */
  static loadPrepared(prepared: Uint8Array): Tokenizer {
    const opened = open(prepared);
    try {
      return new Tokenizer(opened);
    } catch (error) {
      throw error instanceof FormatError ? error : malformed((error as Error).message);
    }
  }

  private constructor(prepared: Prepared) {
    const { normalizer: normal, pre_tokenizer, post_processor, decoder: decode, ...json } = prepared.parts;
    const config = json.config;
    this.#config = config;
    this.#vocab = prepared.vocab;
    this.model_type = String(json.model.type);
    this.#normalize = normalizer(normal, prepared.charsmaps);
    this.#split = preTokenizer(pre_tokenizer);
    this.#model = model(prepared);
    this.#post = postProcessor(post_processor);
    this.#decode = decoder(decode);
    this.#steps = decoderSteps(decode);
    this.byte_fallback = this.#steps.some(({ type }) => type === "ByteFallback");
    this.strips = this.#steps.some(({ type, stop }) => type === "Strip" && Boolean(stop));
    const added_tokens = [...((json.added_tokens ?? []) as AddedToken[])];

    const idOf = (token?: string) =>
      token === undefined ? token : (this.id(token) ?? added_tokens.find(({ content }) => content === token)?.id);
    // A config that names no special token leaves it to what is usual; the tokens that one names are added tokens.
    const none = !SPECIAL.some((name) => config[`${name}_token`]);
    for (const name of SPECIAL) {
      const end = /cls|bos/.test(name) ? "<s>" : /sep|eos/.test(name) ? "</s>" : "";
      const value = config[`${name}_token`];
      const set = (typeof value === "string" ? { content: value } : value) as AddedToken | null | undefined;
      const token = none
        ? [`[${name.toUpperCase()}]`, `<${name}>`, end].find((usual) => idOf(usual) !== undefined)
        : set?.content;
      const id = idOf(token);
      if (id === undefined) continue;
      Object.assign(this, { [`${name}_token`]: token, [`${name}_token_id`]: id });
      this.#special.add(id);
      if (!added_tokens.some(({ content }) => content === token))
        added_tokens.push({ ...set, content: token!, id, special: true });
    }
    const found = [new Map<string, AddedToken>(), new Map<string, AddedToken>()];
    for (const token of added_tokens) {
      const { content, id, special, normalized = !special } = token;
      if (typeof content !== "string" || !isId(id))
        throw malformed(`added token ${JSON.stringify(token)} is malformed`);
      const written = normalized ? this.#normalize(Aligned.of(content)).text : content;
      this.#ids.set(content, id);
      this.#written.set(id, written);
      if (special) this.#special.add(id);
      if (written) found[normalized ? 1 : 0].set(written, token);
    }
    this.#added = found.map((tokens) => [tokens, anyOf(tokens.keys())] as const);
    const limit = config.model_max_length as number;
    if (limit > 0 && limit < 1e9) this.model_max_length = limit;
  }

  /** The id of a token; undefined if the vocabulary lacks it. */
  id(token: string): number | undefined {
    const id = this.#ids.get(token) ?? this.#vocab.id(token);
    return id < 0 ? undefined : id;
  }

  /** The token of an id; undefined if there is none. */
  token(id: number): string | undefined {
    return this.#written.get(id) ?? this.#vocab.token(id);
  }

  /**
   * @throws InputError if a text is no string, `max_length` has no room for the template's tokens, the strategy cannot cut enough
   * or is not known, or `stride` is not below the tokens of a window.
   */
  encode(text: string, options: EncodeOptions = {}): Encoding {
    const { text_pair, add_special_tokens = true, max_length, stride = 0 } = options;
    const { truncation = max_length !== undefined } = options;
    const texts = text_pair ? [text, text_pair] : [text];
    const rows = texts.map((one) => {
      if (typeof one !== "string") throw new InputError("a text to tokenize must be a string");
      const made: Row[] = [];
      this.#cut(Aligned.of(one), 0, made);
      return made;
    });
    const slots = this.#post[text_pair ? "pair" : "single"].filter(
      (s) => add_special_tokens || s.sequence !== undefined,
    );
    const keep = rows.map(({ length }) => length);
    const limit = truncation ? (max_length ?? this.model_max_length) : undefined;
    if (limit !== undefined) {
      const extra = slots.reduce((sum, { ids }) => sum + ids.length, 0);
      if (!(limit >= extra)) throw new InputError(`max_length ${limit} has no room for ${extra} special tokens`);
      shorten(keep, limit - extra, truncation === true ? "longest_first" : String(truncation));
    }
    const [first, second = [[]]] = rows.map((all, i) =>
      windows(all.length, keep[i], stride, this.#config.truncation_side === "left").map(([start, end]) => {
        const window = all.slice(start, end);
        return this.#post.trim === undefined ? window : trimmed(window, this.#post.trim, texts[i]);
      }),
    );
    const make = (a: Row[]) => (b: Row[]) => assemble(slots, [a, b]);
    const [made, ...others] = second.map(make(first[0]));
    if (options.return_overflowing_tokens)
      made.overflowing = [...first.slice(1).flatMap((a) => second.map(make(a))), ...others];
    return made;
  }

  /** The windows over a context that question answering reads, each after the question. @throws as encode does. */
  windows(question: string, context: string, options: Pick<EncodeOptions, "max_length" | "stride"> = {}): Encoding[] {
    const always = { text_pair: context, truncation: "only_second", return_overflowing_tokens: true } as const;
    const { overflowing, ...first } = this.encode(question, { ...options, ...always });
    return [first, ...overflowing!];
  }

  /** The text of ids; those without a token are left out. `clean_up_tokenization_spaces` is false unless tokenizer_config.json sets it. */
  decode(ids: Iterable<number>, { skip_special_tokens = false, ...options }: DecodeOptions = {}): string {
    const tokens = Array.from(ids, (id) =>
      skip_special_tokens && this.#special.has(id) ? "" : (this.token(id) ?? ""),
    );
    const text = this.#decode(tokens.filter(Boolean)).join("");
    return this.cleans(options) ? cleaned(text) : text;
  }

  /** What renders conversations: set by who may need it, for it brings a template language. */
  chat?: () => Promise<typeof import("./tokenizer/chat.ts")>;

  /** Whether the folder has a template for conversations. */
  get has_chat_template(): boolean {
    return Boolean(this.#config.chat_template);
  }

  /**
   * The prompt of a conversation: its ids, or with `tokenize: false` its text. The template is the folder's (Jinja), or `chat_template`.
   * @throws InputError if there is none, or it refuses the conversation
   */
  async apply_chat_template<T extends boolean = true>(
    messages: readonly Message[],
    { tokenize, ...options }: Omit<ChatTemplateOptions, "tokenize"> & { tokenize?: T } = {},
  ): Promise<T extends false ? string : number[]> {
    if (!this.chat) throw new InputError("conversations are for tokenizers of text-generation");
    const { renderChat } = await this.chat();
    const named = SPECIAL.map((name) => [`${name}_token`, this[`${name}_token` as "bos_token"]]);
    const special = Object.fromEntries(named.filter(([, token]) => token !== undefined));
    const text = renderChat(messages, this.#config.chat_template as ChatTemplates | undefined, special, options);
    if (tokenize === false) return text as never;
    return this.encode(text, { add_special_tokens: false }).input_ids as never;
  }

  /** Whether `decode` with these options cleans spaces up. */
  cleans({
    clean_up_tokenization_spaces = this.#config.clean_up_tokenization_spaces === true,
  }: DecodeOptions): boolean {
    return clean_up_tokenization_spaces;
  }

  /**
   * What each token adds to a text, in UTF-8, or begins one with (`begins`); without special tokens, and those that add nothing. Many a token
   * is a part of a character.
   */
  bytes(begins = false): [id: number, bytes: Uint8Array][] {
    const ids = new Set([...this.#vocab.ids(), ...this.#written.keys()]);
    for (const id of this.#special) ids.delete(id);
    const { byte_fallback } = this;
    const levels = this.#steps.some(({ type }) => type === "ByteLevel");
    // A word, for others to stand behind.
    const context = begins || levels ? [] : [...ids].filter((id) => /^\W?[A-Za-z]+$/.test(this.token(id)!)).slice(0, 1);
    const before = this.#decode(context.map((id) => this.token(id)!)).join("").length;
    return [...ids].flatMap((id): [number, Uint8Array][] => {
      const token = this.token(id)!;
      const hex = byte_fallback ? /^<0x([0-9A-Fa-f]{2})>$/.exec(token) : null;
      const all = hex
        ? [Number.parseInt(hex[1], 16)]
        : levels
          ? spelledBytes(token)
          : utf8(
              this.#decode([...context.map((c) => this.token(c)!), token])
                .join("")
                .slice(before),
            );
      return all.length ? [[id, Uint8Array.from(all)]] : [];
    });
  }

  /** Text of ids that come one by one. Joined, it is what `decode` gives for all of them; no character is ever split. */
  stream(options?: DecodeOptions): TextStream {
    return new TextStream(this, options);
  }

  /** Makes tokens of a text: pass 0 takes out added tokens, pass 1 those in the normalised text, pass 2 splits and cuts the rest. */
  #cut(text: Aligned, pass: number, rows: Row[]): void {
    const word = () => (rows.at(-1)?.[4] ?? -1) + 1;
    if (pass > 1) {
      let n = word();
      for (const part of this.#split(text)) {
        const pieces = this.#model(part.text);
        for (const [token, id, start, end] of pieces) rows.push([token, id, part.from(start), part.to(end), n]);
        // A word that nothing is left of has no number.
        if (pieces.length) n++;
      }
      return;
    }
    if (pass) text = this.#normalize(text);
    const { length } = text.text;
    const [tokens, pattern] = this.#added[pass];
    let at = 0;
    const rest = (end: number) => {
      if (at < end) this.#cut(text.slice(at, end), pass + 1, rows);
    };
    for (const { 0: match, index } of pattern ? text.text.matchAll(pattern) : []) {
      const { id, single_word, lstrip, rstrip } = tokens.get(match)!;
      let end = index + match.length;
      // Two units hold a character; half of one is no word character.
      if (
        single_word &&
        (new RegExp(`[${WORD}]$`, "u").test(text.text.slice(Math.max(0, index - 2), index)) ||
          new RegExp(`^[${WORD}]`, "u").test(text.text.slice(end, end + 2)))
      )
        continue;
      const start = lstrip ? Math.max(at, passSpace(text.text, index, -1)) : index;
      if (rstrip) end = passSpace(text.text, end, 1);
      rest(start);
      rows.push([text.text.slice(start, end), id, text.from(start), text.to(end), word()]);
      at = end;
    }
    rest(length);
  }
}

/** Sets how many tokens of each text to keep for `room` in all. */
function shorten(keep: number[], room: number, strategy: string): void {
  const [a, b = 0] = keep;
  const excess = a + b - room;
  const i = ["longest_first", "only_first", "only_second"].indexOf(strategy) - 1;
  if (i < -1) throw new InputError(`truncation "${strategy}" is not known`);
  if (excess <= 0) return;
  if (i >= 0) {
    if (!(keep[i] > excess)) throw new InputError(`${strategy} cannot cut ${excess} of ${keep[i] ?? 0} tokens`);
    keep[i] -= excess;
  } else if (keep.length < 2) keep[0] = room;
  else {
    // The shorter text stays whole if cutting the longer suffices; else each has half, the longer (or second) the odd one.
    const half = Math.floor(room / 2);
    const less = Math.min(a, b, half);
    keep[a > b ? 0 : 1] = room - less;
    keep[a > b ? 1 : 0] = less;
  }
}
