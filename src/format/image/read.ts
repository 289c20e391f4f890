import { FetchError, InputError, MissingFileError, throwIfAborted } from "../../errors.ts";
import { platform, type RawImage } from "../../platform.ts";
import { type ByteSource, byteReader, isBytes, readAll } from "../read.ts";
import type { ModelFolder } from "../source.ts";
import { checkImage } from "./raw.ts";

/** Pixels, or an image file (JPEG, PNG, WebP …): its path or URL, or its bytes. */
export type ImageSource = RawImage | string | URL | ByteSource;

/** Most bytes of a file. */
const LIMIT = 1 << 28;

/**
 * The pixels of an image. Files are decoded by what the host has: browsers by themselves, Node, Deno and Bun by the package sharp where it
 * is installed; elsewhere give pixels. @throws InputError, MissingFileError, MissingPackageError, FormatError, FetchError, AbortError
 */
export async function readImage(
  source: ImageSource,
  { signal, fetch: get = fetch }: { signal?: AbortSignal; fetch?: typeof fetch } = {},
): Promise<RawImage> {
  if (typeof source !== "string" && !(source instanceof URL) && !isBytes(source)) return checkImage(source);
  throwIfAborted(signal);
  const { decodeImage, folder } = platform();
  if (!decodeImage) throw new InputError("this host decodes no image files: give { data, width, height, channels }");
  if (isBytes(source)) return decodeImage(await readAll(byteReader(source), "the image", LIMIT), "the image");
  const name = String(source);
  if (!/^(https?|data|blob):/i.test(name) && folder) {
    const around = (await folder(name)) as ModelFolder | undefined;
    const reader = around?.weights && (await around.open(around.weights[0], signal));
    if (!reader) throw new MissingFileError(name, "the file system");
    return decodeImage(await readAll(reader, name, LIMIT), name);
  }
  const short = name.slice(0, 80);
  const failed = (cause: unknown): never => {
    throwIfAborted(signal);
    throw new FetchError(short, undefined, { cause });
  };
  const response = await get(name, { signal }).catch(failed);
  if (!response.ok) throw new FetchError(short, response.status);
  return decodeImage(new Uint8Array(await response.arrayBuffer().catch(failed)), short);
}
