import type { ImageProcessor } from "../format/image/processor.ts";
import type { ImageSource } from "../format/image/read.ts";
import type { ModelSource, SourceOptions } from "../format/source.ts";
import type { RawImage } from "../platform.ts";

// What reads and resizes images is imported with the first one.

/**
 * The image processor of a model's folder, URL or hub id: what its preprocessor_config.json says (docs/images.md).
 * @throws MissingFileError, UnsupportedOptionError
 */
export async function loadImageProcessor(
  source: ModelSource,
  options?: SourceOptions & { signal?: AbortSignal },
): Promise<ImageProcessor> {
  return (await import("./images.ts")).loadImageProcessor(source, options);
}

/**
 * The pixels of an image. Files are decoded by what the host has: browsers by themselves, Node, Deno and Bun by the package sharp where it
 * is installed; elsewhere give pixels. @throws InputError, MissingFileError, MissingPackageError, FormatError, FetchError, AbortError
 */
export async function readImage(
  source: ImageSource,
  options?: { signal?: AbortSignal; fetch?: typeof fetch },
): Promise<RawImage> {
  return (await import("../format/image/read.ts")).readImage(source, options);
}
