/** Where a model's files come from. Every kind ends as a folder: files by relative path, read from start to end, never cached. */

import { FetchError, InputError, throwIfAborted } from "../errors.ts";
import { type ByteReader, type Folder, platform } from "../platform.ts";
import type { Packed } from "./packed.ts";
import { type ByteSource, brief, byteReader, chunkReader, isBytes } from "./read.ts";
import type { Checkpoint, Header } from "./safetensors.ts";

/** A JSON file of a model: parsed, as text, or as bytes. */
export type JsonSource = object | string;

/**
 * A model's files as the caller has them. Several weights files go by their names. Other files are JSON: a key with a dot is
 * the path (`"1_Pooling/config.json"`), one without is the name (`modules` is `modules.json`).
 */
export interface ModelFiles {
  config: JsonSource;
  weights: ByteSource | Record<string, ByteSource>;
  tokenizer?: JsonSource;
  tokenizer_config?: JsonSource;
  [file: string]: JsonSource | undefined;
}

/**
 * A folder, file or URL, a hub id such as `sentence-transformers/all-MiniLM-L6-v2`, or the files themselves. A packed model (`pack`)
 * or a GGUF file is a file, in a folder, on the web or on the hub (`owner/name/file.safetensors`), or its bytes.
 */
export type ModelSource = string | URL | Folder | ModelFiles | ByteSource;

/** A folder that says which of its files are the weights, where they have not the usual names. */
export interface ModelFolder extends Folder {
  readonly weights?: readonly string[];
  /** The weights file, where its header was read ahead. */
  readonly opened?: { readonly file: string; readonly reader: ByteReader; readonly header: Header };
  /** The configs that were read: several who load a task ask for the same. */
  readonly configs?: Map<string, unknown>;
  /** What `openModel` found instead of weights. */
  readonly packed?: Packed;
  /** Or instead of files: the tensors of a GGUF file. */
  readonly checkpoint?: Checkpoint;
  /** Ends what was opened ahead, if nothing did yet. */
  close?(): Promise<void>;
}

export interface SourceOptions {
  /** The hub; https://huggingface.co unless given. */
  endpoint?: string;
  /** Branch, tag or commit on the hub; `main` unless given. */
  revision?: string;
  /** Sent with every request: `authorization`, for one. */
  headers?: RequestInit["headers"];
  fetch?: typeof fetch;
}

/** Opens a source; nothing is fetched yet. @throws InputError if it is none of the kinds that `ModelSource` lists. */
export async function openFolder(source: ModelSource, options: SourceOptions = {}): Promise<ModelFolder> {
  if (isBytes(source)) return bytesFolder(source);
  if (typeof source !== "string" && !(source instanceof URL))
    return typeof source?.open === "function" ? (source as ModelFolder) : memoryFolder(source as ModelFiles);
  const text = String(source);
  const { folder } = platform();
  const web = /^https?:/i.test(text);
  const local = web ? undefined : await folder?.(text);
  if (local) return local;
  // A host without files of its own takes paths relative to where it runs.
  if (web || (!folder && /^(\w+:|\.{0,2}\/)/.test(text))) {
    const [, base, search] = /^([^?#]*)(\?[^#]*)?/.exec(text)!;
    const file = /[^/]+\.(safetensors|gguf)$/.exec(base)?.[0];
    const root = file ? base.slice(0, -file.length) : base.replace(/\/*$/, "/");
    return { ...webFolder(text, root, options, search), weights: file ? [file] : undefined };
  }
  const [, id = text, at = "", file] =
    /^([^/]+\/[^/]+)\/((?:[\w-][\w.-]*\/)*)([\w-][\w.-]*\.(?:safetensors|gguf))$/.exec(text) ?? [];
  if (!/^(?!\.)[\w.-]+(\/(?!\.)[\w.-]+)?$/.test(id))
    throw new InputError(`"${brief(text)}" is no folder, file, URL or hub id`);
  const { endpoint = "https://huggingface.co", revision = "main" } = options;
  const root = `${endpoint.replace(/\/*$/, "")}/${id}/resolve/${encodeURIComponent(revision)}/${at}`;
  return { ...webFolder(text, root, options), weights: file ? [file] : undefined };
}

function webFolder(name: string, root: string, options: SourceOptions, search = ""): Folder {
  return {
    name,
    async open(path, signal) {
      // The name of a weights file comes from a URL and is escaped already.
      const url = root + encodeURIComponent(path).replace(/%2F|%25(?=[\dA-F]{2})/gi, decodeURIComponent) + search;
      const failed = (cause: unknown): never => {
        throwIfAborted(signal);
        throw new FetchError(url, undefined, { cause });
      };
      const { fetch: get = fetch, headers } = options;
      const response = await get(url, { headers, signal }).catch(failed);
      const header = (key: string) => response.headers.get(key);
      const body = response.body?.getReader();
      // Many a web server answers 200 and its start page where there is no such file.
      const absent = response.status === 404 || header("content-type")?.startsWith("text/html");
      if (!absent && response.ok && body) {
        // What is compressed on its way is longer than that, and another origin's server does not tell whether it is.
        const known = !header("content-encoding") && response.type !== "cors";
        return chunkReader(
          { next: () => body.read().catch(failed), return: () => body.cancel() },
          (known && Number(header("content-length"))) || undefined,
        );
      }
      await body?.cancel().catch(failed);
      if (!absent) throw new FetchError(url, response.status);
    },
  };
}

function bytesFolder(bytes: ByteSource): ModelFolder {
  const file = "model.safetensors";
  return {
    name: "the given bytes",
    weights: [file],
    open: async (path) => (path === file ? byteReader(bytes) : undefined),
  };
}

function memoryFolder(files: ModelFiles): ModelFolder {
  const { weights: given, ...json } = files ?? {};
  const weights: object = isBytes(given) ? { "model.safetensors": given } : { ...given };
  const all = new Map<string, unknown>(Object.entries(weights));
  for (const [key, value] of Object.entries(json)) all.set(key.includes(".") ? key : `${key}.json`, value);
  if (!all.get("config.json") || !given) throw new InputError("a model given as files needs { config, weights }");
  const read = new Set<unknown>();
  return {
    name: "the given files",
    weights: all.has("model.safetensors.index.json") ? undefined : Object.keys(weights),
    async open(path) {
      const value = all.get(path);
      if (value === undefined || value === null) return;
      if (!isBytes(value)) return byteReader(new TextEncoder().encode(jsonText(value, path)));
      if (read.has(value)) throw new InputError(`${path} is a stream, and those can be read once`);
      if (!("slice" in value)) read.add(value);
      return byteReader(value);
    },
  };
}

function jsonText(value: unknown, path: string): string {
  if (typeof value === "string") return value;
  try {
    // JSON would make null of NaN, and null means "the default".
    return JSON.stringify(value, (_, v) => (typeof v === "number" && !Number.isFinite(v) ? String(v) : v));
  } catch (cause) {
    throw new InputError(`${path} cannot be written as JSON`, { cause });
  }
}
