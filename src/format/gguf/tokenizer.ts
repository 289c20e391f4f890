/** The tokenizer of a GGUF file as tokenizer.json and tokenizer_config.json, as transformers' integrations/gguf makes it. */

import { FormatError, UnsupportedOptionError } from "../../errors.ts";
import { brief, type Json } from "../read.ts";
import type { Metadata } from "./config.ts";

/** Kinds of tokens (llama_token_type). */
const [UNKNOWN, CONTROL, USER_DEFINED] = [2, 3, 4];

const LLAMA3 =
  "(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\\r\\n\\p{L}\\p{N}]?\\p{L}+|\\p{N}{1,3}| ?[^\\s\\p{L}\\p{N}]+[\\r\\n]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";
const LETTERS = "[\\p{Lu}\\p{Lt}\\p{Lm}\\p{Lo}\\p{M}]";
const SMALL = "[\\p{Ll}\\p{Lm}\\p{Lo}\\p{M}]";
const word = (after: string) =>
  `[^\\r\\n\\p{L}\\p{N}]?${LETTERS}*${SMALL}+${after}|[^\\r\\n\\p{L}\\p{N}]?${LETTERS}+${SMALL}*${after}`;
const REST = "| ?[^\\s\\p{L}\\p{N}]+[\\r\\n/]*|\\s*[\\r\\n]+|\\s+(?!\\S)|\\s+";

interface Splitting {
  /** The regular expression of words; GPT-2's where there is none. */
  readonly pattern?: string;
  /** Digits are words of their own. */
  readonly digits?: boolean;
  readonly nfc?: boolean;
  /** A word that is a token is one, whatever merges say. */
  readonly ignore_merges?: boolean;
  /** Texts begin with bos unless the file says otherwise. */
  readonly bos?: boolean;
}

const gpt2: Splitting = {};
const digits: Splitting = { digits: true };
const llama3: Splitting = { pattern: LLAMA3, ignore_merges: true, bos: true };
const qwen2: Splitting = { pattern: LLAMA3.replace("{1,3}", ""), nfc: true };
const gpt4o: Splitting = { pattern: `${word("(?i:'s|'t|'re|'ve|'m|'ll|'d)?")}|\\p{N}{1,3}${REST}` };

/** How text is split into words, by what llama.cpp calls it (`tokenizer.ggml.pre`). */
const SPLITTINGS: { readonly [pre: string]: Splitting } = {
  default: gpt2,
  "gpt-2": gpt2,
  "llama-bpe": llama3,
  "llama-v3": llama3,
  llama3,
  qwen2,
  "deepseek-r1-qwen": qwen2,
  "gpt-4o": gpt4o,
  llama4: gpt4o,
  tekken: { pattern: `${word("")}|\\p{N}${REST}`, ignore_merges: true },
  smollm: digits,
  starcoder: digits,
  refact: digits,
  "command-r": digits,
  codeshell: digits,
};

/** What stands for a byte in byte-level vocabularies. */
function spelling(): string[] {
  const shown = (b: number) => (b > 32 && b < 127) || (b > 160 && b !== 173);
  let next = 256;
  return Array.from({ length: 256 }, (_, b) => String.fromCharCode(shown(b) ? b : next++));
}

/** tokenizer.json and tokenizer_config.json; undefined where the file has no tokenizer. @throws FormatError, UnsupportedOptionError */
export function ggufTokenizer(m: Metadata): { tokenizer: Json; config: Json } | undefined {
  const { file } = m;
  const model = m.string("tokenizer.ggml.model", "none");
  if (model === "none" || model === "no_vocab") return;
  if (model !== "gpt2" && model !== "llama")
    throw new UnsupportedOptionError(`${file}: tokenizer.ggml.model`, brief(model), ["gpt2", "llama"]);
  const tokens = m.strings("tokenizer.ggml.tokens");
  const types = m.numbers("tokenizer.ggml.token_type");
  if (!tokens.length) throw new FormatError(file, "has no tokens");
  if (types.length && types.length !== tokens.length)
    throw new FormatError(file, `has ${types.length} types of ${tokens.length} tokens`);
  const special: { [name: string]: string } = {};
  const names = { bos: "bos", eos: "eos", unk: "unknown", pad: "padding" };
  for (const [name, key] of Object.entries(names)) {
    const id = m.number(`tokenizer.ggml.${key}_token_id`, -1);
    if (id === -1) continue;
    if (!(id in tokens)) throw new FormatError(file, `has no token ${id}, its ${key} token`);
    special[`${name}_token`] = tokens[id];
  }
  const rstrip = (token: string) => m.architecture === "phi3" && !/^<(unk|s|\|endoftext\|)>$/.test(token);
  const added_tokens = Array.from(tokens, (content, id) => ({ content, id, kind: types[id] }))
    .filter(({ content, kind }) => kind === CONTROL || kind === UNKNOWN || (kind === USER_DEFINED && content.trim()))
    .map(({ content, id, kind }) => ({
      id,
      content,
      single_word: false,
      lstrip: false,
      rstrip: model === "llama" && kind === CONTROL && rstrip(content),
      normalized: false,
      special: kind !== USER_DEFINED,
    }));
  const splitting = model === "gpt2" ? splittingOf(m) : undefined;
  const parts = splitting ? byteLevel(m, tokens, types, splitting) : sentencePiece(m, tokens);
  const post_processor = template(
    m.bool("tokenizer.ggml.add_bos_token", splitting ? !!splitting.bos : true) ? special.bos_token : undefined,
    m.bool("tokenizer.ggml.add_eos_token", false) ? special.eos_token : undefined,
    tokens,
  );
  const chat_template = m.string("tokenizer.chat_template", "") || undefined;
  return {
    tokenizer: { version: "1.0", added_tokens, ...parts, post_processor: post_processor ?? parts.post_processor },
    config: {
      tokenizer_class: "PreTrainedTokenizerFast",
      clean_up_tokenization_spaces: false,
      ...special,
      chat_template,
    },
  };
}

function splittingOf(m: Metadata): Splitting {
  const pre = m.string("tokenizer.ggml.pre", "default");
  if (Object.hasOwn(SPLITTINGS, pre)) return SPLITTINGS[pre];
  throw new UnsupportedOptionError(`${m.file}: tokenizer.ggml.pre`, brief(pre), Object.keys(SPLITTINGS));
}

function template(bos: string | undefined, eos: string | undefined, tokens: readonly string[]): Json | undefined {
  if (bos === undefined && eos === undefined) return;
  const one = (token: string | undefined, type_id: number) =>
    token === undefined ? [] : [{ SpecialToken: { id: token, type_id } }];
  const text = (id: string, type_id: number) => [
    ...one(bos, type_id),
    { Sequence: { id, type_id } },
    ...one(eos, type_id),
  ];
  const special = [bos, eos].flatMap((id) =>
    id === undefined ? [] : [[id, { id, ids: [tokens.indexOf(id)], tokens: [id] }]],
  );
  const single = text("A", 0);
  return {
    type: "TemplateProcessing",
    single,
    pair: [...single, ...text("B", 1)],
    special_tokens: Object.fromEntries(special),
  };
}

/** Byte-pair encoding over bytes. */
function byteLevel(m: Metadata, tokens: readonly string[], types: ArrayLike<number>, o: Splitting): Json {
  const bytes = spelling();
  const alphabet = new Set(bytes);
  const spelled = (token: string) =>
    [...token].every((c) => alphabet.has(c))
      ? token
      : Array.from(new TextEncoder().encode(token), (b) => bytes[b]).join("");
  const added = (id: number) => types[id] === CONTROL || types[id] === USER_DEFINED;
  const vocab = Object.fromEntries(tokens.map((token, id) => [added(id) ? token : spelled(token), id]));
  const level = { type: "ByteLevel", add_prefix_space: false, trim_offsets: true };
  const use_regex = !o.pattern;
  const split = { type: "Split", pattern: { Regex: o.pattern }, behavior: "Isolated", invert: false };
  const before = o.digits ? [{ type: "Digits", individual_digits: true }] : o.pattern ? [split] : [];
  return {
    normalizer: o.nfc ? { type: "NFC" } : null,
    pre_tokenizer: { type: "Sequence", pretokenizers: [...before, { ...level, use_regex }] },
    post_processor: { ...level, trim_offsets: false },
    decoder: { ...level, use_regex },
    model: { type: "BPE", vocab, merges: m.strings("tokenizer.ggml.merges"), ignore_merges: !!o.ignore_merges },
  };
}

const PIECE = "▁";

/** SentencePiece's byte-pair encoding: its merges are those that make tokens, in the order of the tokens' scores. */
function sentencePiece(m: Metadata, given: readonly string[]): Json {
  const gemma = m.architecture.startsWith("gemma");
  // Gemma's files have spaces in tokens of nothing else.
  const tokens = gemma ? given.map((t) => (/^ +$/.test(t) ? PIECE.repeat(t.length) : t)) : given;
  const scores = m.numbers("tokenizer.ggml.scores");
  const merges = m.strings("tokenizer.ggml.merges");
  if (!merges.length && scores.length !== tokens.length)
    throw new FormatError(m.file, `has ${scores.length} scores of ${tokens.length} tokens`);
  const vocab = Object.fromEntries(tokens.map((token, id) => [token, id]));
  const prefix = m.bool("tokenizer.ggml.add_space_prefix", !gemma);
  const unk = m.number("tokenizer.ggml.unknown_token_id", -1);
  const replace = { type: "Replace", pattern: { String: " " }, content: PIECE };
  const prepend = { type: "Prepend", prepend: PIECE };
  const back = { type: "Replace", pattern: { String: PIECE }, content: " " };
  const strip = { type: "Strip", content: " ", start: 1, stop: 0 };
  return {
    normalizer: { type: "Sequence", normalizers: [...(prefix ? [prepend] : []), replace] },
    pre_tokenizer: null,
    post_processor: null,
    decoder: {
      type: "Sequence",
      decoders: [back, { type: "ByteFallback" }, { type: "Fuse" }, ...(prefix ? [strip] : [])],
    },
    model: {
      type: "BPE",
      unk_token: tokens[unk] ?? null,
      fuse_unk: true,
      byte_fallback: true,
      vocab,
      // Gemma's scores do not follow the order in which its tokens were made, their places do.
      merges: merges.length ? merges : mergesOf(tokens, gemma ? tokens.map((_, id) => -id) : scores),
    },
  };
}

/** Every pair of tokens that is a token: of higher scores first, then longer parts first (transformers' generate_merges). */
function mergesOf(tokens: readonly string[], scores: ArrayLike<number>): [string, string][] {
  const ids = new Map(tokens.map((token, id) => [token, id]));
  const found: { left: string; right: string; score: number; order: number }[] = [];
  const length = (s: string) => [...s].length;
  for (const [token, id] of ids) {
    const pairs: [number, number, string, string][] = [];
    for (let at = 1; at < token.length; at++) {
      const [left, right] = [token.slice(0, at), token.slice(at)];
      const [l, r] = [ids.get(left), ids.get(right)];
      if (l !== undefined && r !== undefined) pairs.push([l, r, left, right]);
    }
    pairs.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
    for (const [, , left, right] of pairs) found.push({ left, right, score: scores[id], order: found.length });
  }
  found.sort(
    (a, b) =>
      b.score - a.score || length(b.left) - length(a.left) || length(b.right) - length(a.right) || a.order - b.order,
  );
  return found.map(({ left, right }) => [left, right]);
}
