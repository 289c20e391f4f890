import { FormatError, MissingPackageError } from "../errors.ts";
import type { RawImage } from "../platform.ts";

/** What we use of sharp, which who reads image files installs beside this package. */
type Sharp = (file: Uint8Array) => {
  autoOrient(): ReturnType<Sharp>;
  toColourspace(name: string): ReturnType<Sharp>;
  raw(): ReturnType<Sharp>;
  toBuffer(options: { resolveWithObject: true }): Promise<{ data: Uint8Array; info: Omit<RawImage, "data"> }>;
};

/** See Platform. */
export async function decodeImage(file: Uint8Array, name: string): Promise<RawImage> {
  const optional = "sharp"; // by a name that no bundler and no type checker looks for
  const { default: sharp } = (await import(optional).catch((cause) => {
    throw new MissingPackageError(optional, `reading ${name}`, { cause });
  })) as { default: Sharp };
  try {
    const pixels = sharp(file).autoOrient().toColourspace("srgb").raw();
    const { data, info } = await pixels.toBuffer({ resolveWithObject: true });
    const { width, height, channels } = info;
    return { data, width, height, channels };
  } catch (cause) {
    throw new FormatError(name, `is no image that sharp reads: ${(cause as Error).message}`);
  }
}
