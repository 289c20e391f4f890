import type { Session } from "./session.ts";

const made = new WeakMap<Session, string>();

/**
 * Names what a session computes: its ops with all their numbers, and its weights as they lie in memory. Alike for one checkpoint in one
 * dtype on every host; two others may agree by a chance of 2⁻⁶⁴. Reads all weights once. Within `enqueue`.
 */
export function fingerprint(session: Session): string {
  const known = made.get(session);
  if (known) return known;
  const hash = new Hash();
  const { layout, engine } = session;
  for (const { op, rows, cols, attrs, inputs } of layout.stateful.nodes) {
    hash.add(Uint32Array.from(JSON.stringify([op, rows, cols, attrs]), (c) => c.charCodeAt(0)));
    for (const v of Object.values(inputs))
      if (v?.kind === "constant") hash.add(new Int32Array(v.data.buffer, v.data.byteOffset, v.data.length));
  }
  for (const { at, bytes } of layout.weights.images) hash.add(engine.memory.i32(at, bytes >> 2));
  made.set(session, hash.text);
  return hash.text;
}

/** 64 bits of words, to tell accidents: no cryptography. */
export class Hash {
  #a = 0x811c9dc5;
  #b = 0x9747b28c;

  add(words: ArrayLike<number>): void {
    let a = this.#a;
    let b = this.#b;
    for (let i = 0; i < words.length; i++) {
      a = Math.imul(a ^ words[i], 0x9e3779b1);
      a ^= a >>> 15;
      b = Math.imul(b ^ words[i], 0x85ebca6b);
      b ^= b >>> 13;
    }
    this.#a = a;
    this.#b = b;
  }

  get text(): string {
    return [this.#a, this.#b].map((n) => (n >>> 0).toString(16).padStart(8, "0")).join("");
  }
}
