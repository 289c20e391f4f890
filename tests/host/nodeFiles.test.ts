import { execFileSync, spawn } from "node:child_process";
import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, expect, it } from "vitest";
import { nodeFolder } from "../../src/host/nodeFiles.ts";
import type { ByteReader } from "../../src/platform.ts";

const root = mkdtempSync(join(tmpdir(), "wattention-files-"));
afterAll(() => rmSync(root, { recursive: true, force: true }));

/** Bytes that tell where they are. */
const bytes = Uint8Array.from({ length: 600_000 }, (_, i) => (i * 31 + (i >> 8) * 17 + (i >> 16)) & 255);
const opened = async (name: string): Promise<ByteReader> => (await (await nodeFolder(root))!.open(name))!;
/** Open files of this process, where the system lists them. */
const files = () => (existsSync("/proc/self/fd") ? readdirSync("/proc/self/fd").length : 0);

/** Reads `sizes` over and over up to the end. */
async function readBy(reader: ByteReader, sizes: readonly number[]): Promise<Buffer> {
  const parts: Uint8Array[] = [];
  for (let i = 0; ; i++) {
    const into = new Uint8Array(sizes[i % sizes.length]);
    const n = await reader.read(into);
    parts.push(into.subarray(0, n));
    if (n < into.length) break; // fewer only at the end
  }
  expect(await reader.read(new Uint8Array(8))).toBe(0);
  await reader.close();
  await reader.close();
  return Buffer.concat(parts);
}

it("a file comes as it is by reads of any sizes, small ones from a block and large ones straight", async () => {
  const before = files();
  const size = fc.oneof(fc.integer({ min: 1, max: 40 }), fc.integer({ min: 1000, max: 300_000 }));
  await fc.assert(
    fc.asyncProperty(fc.array(size, { minLength: 1, maxLength: 12 }), fc.nat(600_000), async (sizes, length) => {
      const data = bytes.subarray(0, length);
      writeFileSync(join(root, "data"), data);
      const reader = await opened("data");
      expect(reader.size).toBe(data.length);
      expect((await readBy(reader, [...sizes, 5000])).equals(data)).toBe(true);
    }),
    { numRuns: 60, seed: 4 },
  );
  expect(files()).toBe(before);
});

it("a closed file gives nothing", async () => {
  writeFileSync(join(root, "closed"), bytes);
  const reader = await opened("closed");
  await reader.read(new Uint8Array(10));
  await reader.close();
  expect(await reader.read(new Uint8Array(10))).toBe(0);
});

it.skipIf(process.platform === "win32")("a pipe, whose size nobody knows, comes whole too", async () => {
  const pipe = join(root, "pipe");
  execFileSync("mkfifo", [pipe]);
  writeFileSync(join(root, "source"), bytes);
  const writer = spawn("sh", ["-c", `cat "${join(root, "source")}" > "${pipe}"`]);
  const reader = await opened("pipe");
  expect(reader.size).toBeUndefined();
  expect((await readBy(reader, [8, 70_000, 200_000])).equals(bytes)).toBe(true);
  await new Promise((done) => (writer.exitCode === null ? writer.once("close", done) : done(undefined)));
});

it("a folder and what is not there are no files, and nothing stays open", async () => {
  const before = files();
  const folder = (await nodeFolder(root))!;
  expect(await folder.open("nothing")).toBeUndefined();
  expect(await folder.open(".")).toBeUndefined();
  expect(await nodeFolder(join(root, "nothing"))).toBeUndefined();
  expect(files()).toBe(before);
});
