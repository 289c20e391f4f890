import { bpe } from "./bpe.ts";
import { build, type Cutter, malformed, type Piece, utf8 } from "./part.ts";
import type { Prepared, Vocab } from "./prepared.ts";
import { unigram } from "./unigram.ts";
import { SEED, step } from "./word.ts";

/** Cuts a word into its tokens. */
export type Model = (word: string) => readonly Piece[];

/** Words whose tokens are remembered: short ones, which are copies in V8 and not views that keep their whole text. */
const REMEMBERED = 12;

/**
 * WordPiece (arXiv:1609.08144): of what is left of a word, the longest token that begins it. A word that does not come out, or is
 * longer than `max_input_chars_per_word` (100), is unknown as a whole.
 */
function wordPiece({ vocab, parts }: Prepared): Cutter {
  const { continuing_subword_prefix: prefix = "##", max_input_chars_per_word = 100, longest } = parts.model;
  const mark = utf8(String(prefix));
  let hashes = new Int32Array(256);
  return (text) => {
    const { word } = vocab;
    const all = word.spell(text, mark.length);
    const { bytes, units } = word;
    if (hashes.length <= all) hashes = new Int32Array(2 * all);
    let characters = text.length;
    for (let i = 1; i < text.length; i++) if (text.codePointAt(i - 1)! > 0xffff) characters--;
    const pieces: Piece[] = [];
    for (let start = mark.length, end: number; start < all; start = end) {
      const from = pieces.length ? start - mark.length : start;
      // The mark takes the place of bytes that have been read.
      if (pieces.length) bytes.set(mark, from);
      end = Math.min(all, from + (longest as number));
      for (let i = from, hash = SEED; i < end; ) {
        hash = step(hash, bytes[i]);
        hashes[++i] = hash;
      }
      let id = -1;
      for (; end > start; end--) {
        // No token ends inside a character.
        if ((bytes[end] & 0xc0) !== 0x80) id = vocab.find(hashes[end], from, end);
        if (id >= 0) break;
      }
      if (id < 0 || characters > (max_input_chars_per_word as number)) return [[text, -1, 0, text.length]];
      const token = text.slice(units[start], units[end]);
      pieces.push([pieces.length ? prefix + token : token, id, units[start], units[end]]);
    }
    return pieces;
  };
}

const whole =
  ({ vocab }: Prepared): Cutter =>
  (word) => [[word, vocab.id(word), 0, word.length]];

/**
 * Builds the model of a prepared tokenizer. What it cannot cut becomes bytes (`byte_fallback`) or the unknown token.
 * @throws FormatError if its type is not supported.
 */
export function model(prepared: Prepared): Model {
  const { vocab } = prepared;
  const part = prepared.parts.model;
  const cut = build<Cutter>(
    "model",
    {
      WordPiece: () => wordPiece(prepared),
      BPE: () => bpe(prepared),
      Unigram: () => unigram(prepared),
      WordLevel: () => whole(prepared),
    },
    part,
  );
  const named = part.unk_token as string | null | undefined;
  const unk_id = part.type === "Unigram" ? (part.unk_id as number | null | undefined) : known(vocab, named);

  /** Adds a piece, spelled in bytes or as the unknown token if the vocabulary lacks it. */
  const add = (made: Piece[], piece: Piece): Piece[] => {
    const [token, id, start, end] = piece;
    const before = made.at(-1);
    const bytes = Array.from(id < 0 && part.byte_fallback ? utf8(token) : [], (byte): Piece => {
      const spelled = `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
      return [spelled, vocab.id(spelled), start, end];
    });
    if (id >= 0) made.push(piece);
    else if (bytes.length && bytes.every(([, id]) => id >= 0)) made.push(...bytes);
    else if (unk_id == null) {
      // A BPE without an unknown token leaves out what it does not know.
      if (part.type !== "BPE" || named) throw malformed(`the vocab lacks "${token}" and an unknown token`);
    } else if (part.fuse_unk && before?.[1] === unk_id) before[3] = end;
    else made.push([named ?? token, unk_id, start, end]);
    return made;
  };
  const remembered = new Map<string, readonly Piece[]>();
  return (word) => {
    let pieces = remembered.get(word);
    if (!pieces) {
      pieces = cut(word).reduce(add, []);
      if (word.length <= REMEMBERED) {
        if (remembered.size > 4095) remembered.clear();
        remembered.set(word, pieces);
      }
    }
    return pieces;
  };
}

const known = (vocab: Vocab, token: string | null | undefined) => {
  const id = token == null ? -1 : vocab.id(token);
  return id < 0 ? undefined : id;
};
