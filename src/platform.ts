/** What a host gives the library. The entry files in src/host fill it in; nothing else in the library knows where it runs. */

declare global {
  /** Who compiles for Node has neither these names of the DOM nor, in @types/node, others. Where they are, these add nothing. */
  namespace WebAssembly {
    interface Module {}
    interface Memory {}
  }
}

/** A file read from its start to its end. */
export interface ByteReader {
  /** Bytes in the file, where the host knows. */
  readonly size?: number;
  /** Fills `into` with the next bytes and says how many: fewer than asked for only at the end of the file. */
  read(into: Uint8Array): Promise<number>;
  /** Ends the reading early or late; a second call does nothing. */
  close(): Promise<void>;
}

/** A place that holds files by relative path: a directory, a URL, a hub repository, bytes in memory. */
export interface Folder {
  /** As a person would name it, for messages. */
  readonly name: string;
  /** Opens a file; undefined where there is none of that name. */
  open(path: string, signal?: AbortSignal): Promise<ByteReader | undefined>;
}

/** An image as pixels: rows from top to bottom, `channels` bytes a pixel side by side: gray, gray and alpha, RGB, RGBA. */
export interface RawImage {
  readonly data: Uint8Array | Uint8ClampedArray;
  readonly width: number;
  readonly height: number;
  readonly channels: 1 | 2 | 3 | 4;
}

/** `relaxed` uses relaxed SIMD (fused multiply-add); `simd` runs everywhere and gives the same bits on every engine. */
export type Build = "simd" | "relaxed";

/** A module as a caller gives it. */
export type WasmSource = WebAssembly.Module | ArrayBuffer | ArrayBufferView<ArrayBuffer> | Response | URL | string;

export interface Compiled {
  readonly build: Build;
  readonly module: WebAssembly.Module;
}

export interface Platform {
  /** Compiles (or finds compiled) one build of the module. */
  module(build: Build): Promise<WebAssembly.Module>;
  /** Gives the event loop a turn. */
  pause(): Promise<void>;
  /** The same promise, where a host would not wait for it by itself. */
  waiting?<T>(promise: Promise<T>): Promise<T>;
  /** The folder at a path of the file system; undefined where the path is not a folder or file (it may then be a hub id). */
  folder?(path: string): Promise<Folder | undefined>;
  /** The pixels of an image file, turned as its EXIF says; absent where the host decodes none. @throws MissingPackageError, FormatError */
  decodeImage?(file: Uint8Array<ArrayBuffer>, name: string): Promise<RawImage>;
  /** The model that ships with the package. */
  shippedModel(): string | URL | Folder;
}

let current: Platform | undefined;

export function usePlatform(platform: Platform): void {
  current = platform;
}

export function platform(): Platform {
  if (!current)
    throw new Error("import wattention by one of its entries (exports in package.json), not by its inner files");
  return current;
}

export const fromBase64 = (text: string): Uint8Array<ArrayBuffer> =>
  Uint8Array.from(atob(text), (c) => c.charCodeAt(0));
