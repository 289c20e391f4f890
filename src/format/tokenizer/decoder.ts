import { BYTES, build, compile, need, type Part, utf8 } from "./part.ts";

/** Makes text of tokens; the text is all strings that come out in a row. */
export type Decoder = (tokens: string[]) => string[];

const CLEAN = [".", "?", "!", ",", " ' ", "n't", "'m", "'s", "'ve", "'re"];
/** Takes away the spaces before English punctuation and contractions, one kind after the other. */
export const cleaned = (text: string) =>
  CLEAN.reduce((now, part) => now.replaceAll(part === " ' " ? part : ` ${part}`, part.trim()), text);

const lossy = new TextDecoder("utf-8", { ignoreBOM: true });
const strict = new TextDecoder("utf-8", { ignoreBOM: true, fatal: true });

const byteOf = new Map(BYTES.map((c, byte) => [c, byte]));

/** The bytes of a byte-level token. One that is not all of such characters stands for itself. */
export function spelledBytes(token: string): number[] {
  const all = Array.from(token, (c) => byteOf.get(c) ?? -1);
  return all.includes(-1) ? [...utf8(token)] : all;
}

/** The text of bytes that tokens stand for one by one; where they are no UTF-8 each becomes U+FFFD. */
function spelled(bytes: number[]): string[] {
  try {
    return [strict.decode(Uint8Array.from(bytes))];
  } catch {
    return bytes.map(() => "\ufffd");
  }
}

/** The steps of a decoder, in order. */
export const decoderSteps = (part: unknown): readonly Part[] => {
  const one = (part ?? {}) as Part;
  return one.type === "Sequence" ? (one.decoders as unknown[]).flatMap(decoderSteps) : [one];
};

/** Builds a decoder, which does what that of the `tokenizers` crate does. @throws FormatError if its type is not supported or a field is not right. */
export function decoder(part: unknown): Decoder {
  // Without one, tokens are words.
  if (part == null) return (tokens) => [tokens.join(" ")];
  return build<Decoder>(
    "decoder",
    {
      Sequence: ({ decoders }) => {
        const steps = (decoders as unknown[]).map((step) => decoder(step));
        return (tokens) => steps.reduce((now, step) => step(now), tokens);
      },
      WordPiece: ({ prefix = "##", cleanup = true }) => {
        const mark = String(prefix);
        return (tokens) =>
          tokens.map((token, i) => {
            if (i) token = token.startsWith(mark) ? token.slice(mark.length) : ` ${token}`;
            return cleanup ? cleaned(token) : token;
          });
      },
      BPEDecoder: ({ suffix = "</w>" }) => {
        const mark = String(suffix);
        return (tokens) => tokens.map((token, i) => token.replaceAll(mark, i < tokens.length - 1 ? " " : ""));
      },
      ByteLevel: () => (tokens) => [lossy.decode(Uint8Array.from(tokens.flatMap(spelledBytes)))],
      Metaspace: (part) => {
        const mark = need<string>({ replacement: "\u2581", ...part }, "replacement", "string");
        const first = part.prepend_scheme === "never" || part.add_prefix_space === false ? " " : "";
        return (tokens) => tokens.map((token, i) => token.replaceAll(mark, i ? " " : first));
      },
      ByteFallback: () => (tokens) => {
        const made: string[] = [];
        let bytes: number[] = [];
        const flush = () => {
          if (bytes.length) made.push(...spelled(bytes));
          bytes = [];
        };
        for (const token of tokens) {
          const hex = /^<0x([0-9A-Fa-f]{2})>$/.exec(token);
          if (hex) bytes.push(Number.parseInt(hex[1], 16));
          else {
            flush();
            made.push(token);
          }
        }
        flush();
        return made;
      },
      Replace: (part) => {
        const pattern = compile(part.pattern);
        const content = need<string>(part, "content", "string");
        return (tokens) => tokens.map((token) => token.replace(pattern, () => content));
      },
      Fuse: () => (tokens) => [tokens.join("")],
      Strip:
        ({ content = " ", start = 0, stop = 0 }) =>
        (tokens) =>
          tokens.map((token) => {
            let from = 0;
            let to = token.length;
            while (from < (start as number) && token[from] === content) from++;
            while (token.length - to < (stop as number) && token[to - 1] === content) to--;
            return token.slice(from, Math.max(from, to));
          }),
      CTC:
        ({ pad_token = "<pad>", word_delimiter_token = "|", cleanup = true }) =>
        (tokens) =>
          tokens
            .filter((token, i) => token !== tokens[i - 1])
            .map((token) => {
              const text = token.replaceAll(String(pad_token), "");
              return cleanup ? cleaned(text).replaceAll(String(word_delimiter_token), " ") : text;
            }),
    },
    part,
  );
}
