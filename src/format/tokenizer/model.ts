import { build, type Cutter, isId, malformed, need, type Part, type Piece, utf8 } from "./part.ts";
import { unigram } from "./unigram.ts";

export interface Model {
  readonly ids: Map<string, number>;
  /** The tokens by id. */
  readonly vocab: string[];
  tokenize(word: string): Piece[];
}

interface LibraryModel {
  readonly tokens_to_ids: Map<string, number>;
}
/** What is used of @huggingface/tokenizers. Its own types import each other without file endings, which NodeNext does not resolve. */
export interface Library {
  readonly WordPiece: new (config: Part) => LibraryModel & { encode(words: string[]): string[] };
  readonly BPE: new (config: Part) => LibraryModel & { bpe(word: string): string[] };
  readonly SplitPreTokenizer: new (config: Part) => { readonly pattern: RegExp };
  readonly Tokenizer: new (json: object, config: object) => LibraryTokenizer;
}
export interface LibraryTokenizer {
  readonly model: { vocab: string[] };
  decode(ids: number[], options: { clean_up_tokenization_spaces: boolean }): string;
}

/** Gives the tokens of a word their ids and ranges; all but the first are `shorter` than their strings. */
function place(word: string, tokens: string[], ids: Map<string, number>, shorter = 0): Piece[] {
  let end = 0;
  return tokens.map((token, i) => {
    const start = end;
    end = Math.min(start + token.length - (i && shorter), word.length);
    return [token, ids.get(token) ?? -1, start, end];
  });
}

/**
 * Builds the model of tokenizer.json: the library's WordPiece or BPE, given the ranges they lack, our Unigram, or WordLevel. What
 * it cannot cut becomes bytes (`byte_fallback`) or the unknown token.
 * @throws FormatError if its type is not supported, a field is missing, or an id is none.
 */
export function model(given: Part, library: Library): Model {
  const type = given.type ?? (Array.isArray(given.vocab) ? "Unigram" : given.merges ? "BPE" : "WordPiece");
  const part: Part = { continuing_subword_prefix: type === "WordPiece" ? "##" : "", ...given, type };
  const listed = need<object>(part, "vocab", "object");
  const [ids, cut] = build<Cutter>(
    "model",
    {
      Unigram: () => unigram(listed as [string, number][]),
      WordLevel: () => {
        const ids = new Map<string, number>(Object.entries(listed));
        return [ids, (word) => place(word, [word], ids)];
      },
      WordPiece: () => {
        const model = new library.WordPiece(part);
        const ids = model.tokens_to_ids;
        const { length } = need<string>(part, "continuing_subword_prefix", "string");
        return [
          ids,
          (word) => {
            const tokens = model.encode([word]);
            // One token stands for the whole word: the word itself, or the unknown token.
            return place(word, tokens.length > 1 ? tokens : [word], ids, length);
          },
        ];
      },
      BPE: () => {
        need(part, "merges", "object");
        for (const field of ["continuing_subword_prefix", "continuing_subword_suffix"])
          if (part[field]) throw malformed(`${field} is not supported`);
        const model = new library.BPE(part);
        const ids = model.tokens_to_ids;
        // The last token has `end_of_word_suffix` on it: place() stops at the end of the word.
        return [ids, (word) => place(word, part.ignore_merges && ids.has(word) ? [word] : model.bpe(word), ids)];
      },
    },
    part,
  );
  const vocab: string[] = [];
  for (const [token, id] of ids) {
    if (!isId(id)) throw malformed(`the id of "${token}" is ${JSON.stringify(id)}`);
    vocab[id] = token;
  }
  const unk_token = part.unk_token as string | null | undefined;
  const unk_id = type === "Unigram" ? (part.unk_id as number | null | undefined) : ids.get(unk_token!);

  /** Adds a piece, spelled in bytes or as the unknown token if the vocabulary lacks it. */
  const add = (made: Piece[], piece: Piece): Piece[] => {
    const [token, id, start, end] = piece;
    const before = made.at(-1);
    const bytes = Array.from(id < 0 && part.byte_fallback ? utf8(token) : [], (byte): Piece => {
      const spelled = `<0x${byte.toString(16).toUpperCase().padStart(2, "0")}>`;
      return [spelled, ids.get(spelled) ?? -1, start, end];
    });
    if (id >= 0) made.push(piece);
    else if (bytes.length && bytes.every(([, id]) => id >= 0)) made.push(...bytes);
    else if (unk_id == null) {
      // A BPE without an unknown token leaves out what it does not know.
      if (type !== "BPE" || unk_token) throw malformed(`the vocab lacks "${token}" and an unknown token`);
    } else if (part.fuse_unk && before?.[1] === unk_id) before[3] = end;
    else made.push([unk_token ?? token, unk_id, start, end]);
    return made;
  };
  return { ids, vocab, tokenize: (word) => cut(word).reduce(add, []) };
}
