import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { crc32, deflateSync } from "node:zlib";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  FetchError,
  FormatError,
  InputError,
  loadImageProcessor,
  MissingFileError,
  MissingPackageError,
  readImage,
} from "../../src/host/node.ts";

/** A PNG (ISO 15948) of RGB rows. */
function png(width: number, height: number, rgb: Uint8Array): Uint8Array<ArrayBuffer> {
  const chunk = (type: string, data: Uint8Array) => {
    const body = Buffer.concat([Buffer.from(type), data]);
    const [size, sum] = [data.length, crc32(body)].map((n) => {
      const b = Buffer.alloc(4);
      b.writeUInt32BE(n);
      return b;
    });
    return Buffer.concat([size, body, sum]);
  };
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width);
  head.writeUInt32BE(height, 4);
  head.set([8, 2], 8);
  const rows = Array.from({ length: height }, (_, y) => [0, ...rgb.subarray(y * width * 3, (y + 1) * width * 3)]);
  const parts = [
    chunk("IHDR", head),
    chunk("IDAT", deflateSync(Uint8Array.from(rows.flat()))),
    chunk("IEND", head.subarray(13)),
  ];
  return new Uint8Array(Buffer.concat([Buffer.from([137, 80, 78, 71, 13, 10, 26, 10]), ...parts]));
}

const pixels = Uint8Array.from({ length: 5 * 3 * 3 }, (_, i) => (i * 37) % 256);
const file = png(5, 3, pixels);
const optional = "sharp";
const sharp = await import(optional).then(
  () => true,
  () => false,
);
const folder = mkdtempSync(join(tmpdir(), "wattention-"));
const path = join(folder, "a b.png");
const server = createServer((request, response) => {
  response.statusCode = request.url === "/a.png" ? 200 : 404;
  response.end(file);
});
let origin = "";
beforeAll(async () => {
  writeFileSync(path, file);
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  origin = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => {
  server.close();
  rmSync(folder, { recursive: true });
});

describe.skipIf(!sharp)("image files (skipped where the optional package sharp is not installed)", () => {
  it("are pixels, wherever they come from", async () => {
    const data = `data:image/png;base64,${Buffer.from(file).toString("base64")}`;
    for (const source of [file, file.buffer, new Blob([file]), path, pathToFileURL(path), `${origin}/a.png`, data]) {
      const { data, ...size } = await readImage(source);
      expect(size).toEqual({ width: 5, height: 3, channels: 3 });
      expect(Array.from(data)).toEqual(Array.from(pixels));
    }
  });
  it("that are none are named", async () => {
    await expect(readImage(new Uint8Array(9))).rejects.toThrow(FormatError);
  });
});

it.skipIf(sharp)("without sharp the error names it (skipped where it is installed)", async () => {
  const error = await readImage(file).catch((e) => e);
  expect(error).toBeInstanceOf(MissingPackageError);
  expect(error).toMatchObject({ package_name: "sharp", message: expect.stringContaining("npm install sharp") });
});

it("pixels need nothing; what is none is refused", async () => {
  const image = { data: new Uint8Array(12), width: 2, height: 2, channels: 3 } as const;
  expect(await readImage(image)).toBe(image);
  await expect(readImage({ ...image, width: 3 })).rejects.toThrow(InputError);
  await expect(readImage(join(folder, "none.png"))).rejects.toThrow(MissingFileError);
  await expect(readImage(folder)).rejects.toThrow(MissingFileError);
  await expect(readImage(`${origin}/b.png`)).rejects.toThrow(FetchError);
});

it("a folder's processor makes pixel_values of pixels", async () => {
  await expect(loadImageProcessor(folder)).rejects.toThrow(MissingFileError);
  const config = { image_processor_type: "ViTImageProcessor", size: { height: 4, width: 6 } };
  writeFileSync(join(folder, "preprocessor_config.json"), JSON.stringify(config));
  const processor = await loadImageProcessor(folder);
  const image = await readImage({ data: pixels, width: 5, height: 3, channels: 3 });
  expect(processor.process([image, image]).pixel_values.dims).toEqual([2, 3, 4, 6]);
});
