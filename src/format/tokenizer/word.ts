/** FNV-1a over bytes. */
export const SEED = 0x811c9dc5 | 0;
export const step = (hash: number, byte: number) => Math.imul(hash ^ byte, 0x01000193);

/** A word spelled in UTF-8, in memory that is used again for the next one. Half a character is spelled too: as no token is. */
export class Word {
  bytes = new Uint8Array(256);
  /** The UTF-16 unit of the word that the character of each byte starts at. */
  units = new Int32Array(256);

  /** Spells a word from byte `at` on; gives the byte behind it, which is 0. */
  spell(word: string, at = 0): number {
    const room = at + 3 * word.length + 1;
    if (room > this.bytes.length) {
      this.bytes = new Uint8Array(2 * room);
      this.units = new Int32Array(2 * room);
    }
    const { bytes, units } = this;
    for (let i = 0; i < word.length; i++) {
      const c = word.codePointAt(i)!;
      units[at] = i;
      if (c < 128) {
        bytes[at++] = c;
        continue;
      }
      const more = c > 0xffff ? 3 : c > 0x7ff ? 2 : 1;
      bytes[at++] = (0xff00 >> (more + 1)) | (c >> (6 * more));
      for (let n = more; n--; ) {
        units[at] = i;
        bytes[at++] = 0x80 | ((c >> (6 * n)) & 63);
      }
      if (more > 2) i++;
    }
    bytes[at] = 0;
    units[at] = word.length;
    return at;
  }

  hash(from: number, to: number): number {
    let hash = SEED;
    while (from < to) hash = step(hash, this.bytes[from++]);
    return hash;
  }
}
