import { malformed, utf8 } from "./part.ts";

/**
 * The character map of a SentencePiece model (`precompiled_charsmap`, out of base64): a little-endian u32 with the byte length of a
 * trie, the trie (a double array of u32 units, as darts-clone lays it out), and the replacements, each ended by a zero byte.
 * Returns what stands for a chunk of text: the replacement of the SHORTEST key that begins it, undefined where none does.
 * @throws FormatError if the map is cut short.
 */
export function charsmap(bytes: Uint8Array): (chunk: string) => string | undefined {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
  const end = bytes.length > 3 ? 4 + view.getUint32(0, true) : bytes.length + 1;
  if (end > bytes.length) throw malformed("precompiled_charsmap is cut short");
  // A unit: its label in bits 0–7 and 31, bit 8 says that a value follows, the offset of its children in bits 10–30 (times 256 if bit 9).
  const unit = (i: number) => (i >= 0 && 4 * i + 8 <= end ? view.getUint32(4 * i + 4, true) : 0);
  const children = (u: number) => (u >>> 10) << ((u & 512) >>> 6);
  const decoder = new TextDecoder();

  const known = new Map<string, string | undefined>();
  const find = (chunk: string) => {
    let node = children(unit(0));
    for (const byte of utf8(chunk)) {
      node ^= byte;
      const u = unit(node);
      if (!byte || (u & 0x800000ff) !== byte) return;
      node ^= children(u);
      if (u & 256) {
        const at = end + (unit(node) & 0x7fffffff);
        const stop = bytes.indexOf(0, at);
        return decoder.decode(bytes.subarray(at, stop < 0 ? undefined : stop));
      }
    }
  };
  return (chunk) => {
    if (!known.has(chunk)) {
      if (known.size > 9999) known.clear();
      known.set(chunk, find(chunk));
    }
    return known.get(chunk);
  };
}
