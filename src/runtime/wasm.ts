/** The module as a caller gives it. Imported when one does. */

import { EngineError, FetchError } from "../errors.ts";
import { readAll } from "../format/read.ts";
import type { ModelFolder } from "../format/source.ts";
import { type Build, type Compiled, platform, type WasmSource } from "../platform.ts";

/** By what was given, since a response can be read once; by address where it is a URL. */
const compiled = new WeakMap<object, Promise<Compiled>>();
const fetched = new Map<string, Promise<Compiled>>();

/**
 * Compiles what stands in the `wasm` option, once, and says which build it is.
 * @throws EngineError unless it is a module of this library, FetchError if it cannot be fetched
 */
export function given(source: WasmSource | PromiseLike<WasmSource>): Promise<Compiled> {
  const cache = typeof source === "object" && !(source instanceof URL) ? compiled : fetched;
  const key = (cache === compiled ? source : String(source)) as string & object;
  const found = cache.get(key) ?? identified(source);
  cache.set(key, found);
  found.catch(() => cache.delete(key));
  return found;
}

async function identified(source: WasmSource | PromiseLike<WasmSource>): Promise<Compiled> {
  const module = await compile(await source);
  // The build writes its name into a section of its own (scripts/build.mjs).
  const [name] = WebAssembly.Module.customSections(module, "wattention").map((s) => new TextDecoder().decode(s));
  if (name !== "simd" && name !== "relaxed")
    throw new EngineError("what is given as wasm is no module of wattention: take wattention/wasm/simd or /relaxed");
  return { module, build: name satisfies Build };
}

async function compile(source: WasmSource): Promise<WebAssembly.Module> {
  if (source instanceof WebAssembly.Module) return source;
  if (source instanceof ArrayBuffer || ArrayBuffer.isView(source)) return WebAssembly.compile(source);
  if (typeof source === "string" || source instanceof URL) return open(String(source));
  if (typeof source?.arrayBuffer !== "function")
    throw new EngineError("wasm must be a WebAssembly.Module, its bytes, a Response or a URL");
  if (!source.ok) throw new FetchError(source.url, source.status);
  // Of a response of another type, engines compile nothing on its way; its bytes may be right all the same.
  const typed = source.headers.get("content-type")?.trim().toLowerCase() === "application/wasm";
  return typed && WebAssembly.compileStreaming
    ? WebAssembly.compileStreaming(source)
    : WebAssembly.compile(await source.arrayBuffer());
}

async function open(url: string): Promise<WebAssembly.Module> {
  const web = /^(https?|data|blob):/i.test(url);
  const folder = web ? undefined : ((await platform().folder?.(url)) as ModelFolder | undefined);
  const [file] = folder?.weights ?? []; // what a path names, where it is a file
  const reader = file && (await folder!.open(file));
  if (reader) return compile(await readAll(reader, file));
  const response = await fetch(url).catch((cause) => {
    throw new FetchError(url, undefined, { cause });
  });
  return compile(response);
}
