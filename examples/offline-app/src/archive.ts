/** All documents as one file, to be put aside or taken to another device. */

import type { Passage } from "./passages.ts";
import type { Document } from "./store.ts";

const FORMAT = "wattention offline-app";
const VERSION = 1;

/** A file is no archive of this app. */
export class ArchiveError extends Error {
  override readonly name = "ArchiveError";
}

export function write(documents: readonly Document[]): Blob {
  const packed = documents.map(({ vectors, ...rest }) => ({ ...rest, vectors: toBase64(vectors) }));
  const parts = JSON.stringify({ format: FORMAT, version: VERSION, documents: packed });
  return new Blob([parts], { type: "application/json" });
}

/** @throws ArchiveError if anything in it is not as `write` makes it */
export function read(text: string): Document[] {
  let archive: { format?: unknown; version?: unknown; documents?: unknown } | null;
  try {
    archive = JSON.parse(text);
  } catch {
    throw new ArchiveError("This file was not saved by this app.");
  }
  if (archive?.format !== FORMAT || !Array.isArray(archive.documents))
    throw new ArchiveError("This file was not saved by this app.");
  if (archive.version !== VERSION) throw new ArchiveError("This file was saved by another version of this app.");
  return archive.documents.map(documentOf);
}

function documentOf(given: Record<string, unknown>): Document {
  const { id, name, added, model, passages } = given ?? {};
  const bad = (): never => {
    throw new ArchiveError("This file is damaged: nothing of it was taken.");
  };
  if (typeof id !== "string" || !/^[\w-]+$/.test(id) || typeof name !== "string" || typeof model !== "string") bad();
  if (!Number.isFinite(added) || !Array.isArray(passages) || !passages.length || !passages.every(isPassage)) bad();
  const vectors = fromBase64(given.vectors) ?? bad();
  if (!vectors.every(Number.isFinite)) bad();
  return { id, name, added, model, passages, vectors } as Document;
}

const isPassage = (p: Partial<Passage> | null) => typeof p?.text === "string" && typeof p.heading === "string";

function toBase64({ buffer, byteOffset, byteLength }: Float32Array): string {
  const bytes = new Uint8Array(buffer, byteOffset, byteLength);
  let binary = "";
  for (let i = 0; i < bytes.length; i += 0x8000) binary += String.fromCharCode(...bytes.subarray(i, i + 0x8000));
  return btoa(binary);
}

function fromBase64(text: unknown): Float32Array<ArrayBuffer> | undefined {
  try {
    return new Float32Array(Uint8Array.from(atob(text as string), (c) => c.charCodeAt(0)).buffer);
  } catch {
    return undefined;
  }
}
