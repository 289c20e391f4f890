import { describe, expect, it } from "vitest";
import { AbortError, FormatError, InputError, MissingFileError, type WattentionError } from "../../src/errors.ts";
import { openCheckpoint } from "../../src/format/checkpoint.ts";
import { byteReader } from "../../src/format/read.ts";
import type { ModelFolder } from "../../src/format/source.ts";
import { chunks, folderOf, gather } from "./helpers.ts";
import { json, tensor, writeSafetensors } from "./write.ts";

const floats = (n: number, from = 0) => Float32Array.from({ length: n }, (_, i) => from + i);
const one = writeSafetensors({ a: tensor(floats(6), [2, 3]), b: tensor(floats(2, 10), [2]) }, { format: "pt" });
const two = writeSafetensors({ c: tensor(floats(8, 20), [4, 2]) });
const INDEX = "model.safetensors.index.json";
const map = { a: "s-1.safetensors", b: "s-1.safetensors", c: "s-2.safetensors" };
const sharded = { "s-1.safetensors": one, "s-2.safetensors": two, [INDEX]: json({ metadata: {}, weight_map: map }) };
const caught = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.fail("no error"),
    (e) => e,
  );

/** A folder that counts the files it has open. */
function counting(files: Record<string, Uint8Array>, sizes?: number[]): ModelFolder & { open_files: number } {
  const folder = {
    name: "a test",
    open_files: 0,
    async open(path: string) {
      if (!Object.hasOwn(files, path)) return;
      const reader = byteReader(sizes ? chunks(files[path], sizes) : files[path]);
      let open = 1;
      folder.open_files++;
      return {
        size: reader.size,
        read: (into: Uint8Array) => reader.read(into),
        close: async () => {
          folder.open_files -= open;
          open = 0;
          await reader.close();
        },
      };
    },
  };
  return folder;
}

async function values(folder: ModelFolder, prefix?: string) {
  const checkpoint = await openCheckpoint(folder, { prefix });
  const { sink, data } = gather(1);
  await checkpoint.stream(sink);
  return Object.fromEntries([...data].map(([name, bytes]) => [name, [...new Float32Array(bytes.buffer)]]));
}
const A = { a: [...floats(6)], b: [...floats(2, 10)] };
const C = { c: [...floats(8, 20)] };

describe("openCheckpoint", () => {
  it("opens a single file", async () => {
    const folder = counting({ "model.safetensors": one });
    const checkpoint = await openCheckpoint(folder);
    expect(checkpoint.metadata).toEqual({ format: "pt" });
    expect(checkpoint.bytes).toBe(32);
    expect(checkpoint.tensors.get("b")).toEqual({
      ...{ name: "b", dtype: "F32", shape: [2], begin: 24, end: 32 },
      file: "model.safetensors",
    });
    await checkpoint.close();
    expect(folder.open_files).toBe(0);
    expect(await values(folder)).toEqual(A);
    expect(folder.open_files).toBe(0);
  });

  it("opens several, all headers first, from streams too", async () => {
    for (const sizes of [undefined, [7]]) {
      const folder = counting(sharded, sizes);
      const checkpoint = await openCheckpoint(folder);
      expect([...checkpoint.tensors.keys()]).toEqual(["a", "b", "c"]);
      expect(checkpoint.bytes).toBe(64);
      expect(folder.open_files).toBe(2);
      let sum = 0;
      const order: string[] = [];
      await checkpoint.stream(
        (info) => {
          order.push(`${info.file} ${info.name}`);
          return undefined;
        },
        { onProgress: (n) => (sum += n) },
      );
      expect(order).toEqual(["s-1.safetensors a", "s-1.safetensors b", "s-2.safetensors c"]);
      expect(sum).toBe(64);
      expect(folder.open_files).toBe(0);
      expect(await values(counting(sharded, sizes))).toEqual({ ...A, ...C });
    }
  });

  it("opens what a folder says are its weights", async () => {
    const folder = {
      ...folderOf({ "x.safetensors": one, "y.safetensors": two }),
      weights: ["x.safetensors", "y.safetensors"],
    };
    expect(await values(folder)).toEqual({ ...A, ...C });
    expect(await values({ ...folder, weights: ["y.safetensors"] })).toEqual(C);
    const error = await caught(values({ ...folder, weights: ["z.safetensors"] }));
    expect(error).toBeInstanceOf(MissingFileError);
    expect(error.file).toBe("z.safetensors");
  });

  it("opens those of a subfolder", async () => {
    const files = Object.entries(sharded).map(([name, bytes]) => [`2_Dense/${name}`, bytes]);
    expect(await values({ ...folderOf(Object.fromEntries(files)), weights: ["x.safetensors"] }, "2_Dense/")).toEqual({
      ...A,
      ...C,
    });
    expect(await values(folderOf({ "2_Dense/model.safetensors": two }), "2_Dense/")).toEqual(C);
  });

  it("says what it looked for", async () => {
    const error = await caught(openCheckpoint(folderOf({})));
    expect(error).toBeInstanceOf(MissingFileError);
    expect(error.message).toBe("a test has no model.safetensors or model.safetensors.index.json");
    const old = await caught(openCheckpoint(folderOf({ "pytorch_model.bin": one })));
    expect(old).toBeInstanceOf(MissingFileError);
    expect(old.message).toMatch(/pytorch_model\.bin must be converted to safetensors/);
  });

  it.each<[string, Record<string, Uint8Array>, new (...args: never[]) => WattentionError, RegExp]>([
    ["an index without a map", { ...sharded, [INDEX]: json({}) }, FormatError, /no weight_map/],
    ["an index with a list", { ...sharded, [INDEX]: json({ weight_map: [] }) }, FormatError, /no weight_map/],
    ["an index that is a list", { ...sharded, [INDEX]: json([]) }, FormatError, /must hold an object/],
    [
      "a shard that is no name",
      { ...sharded, [INDEX]: json({ weight_map: { ...map, c: 7 } }) },
      FormatError,
      /no name of a file/,
    ],
    [
      "a shard elsewhere",
      { ...sharded, [INDEX]: json({ weight_map: { ...map, c: "../s-2.safetensors" } }) },
      FormatError,
      /no name of a file/,
    ],
    [
      "a shard in a folder",
      { ...sharded, [INDEX]: json({ weight_map: { ...map, c: "x/s-2.safetensors" } }) },
      FormatError,
      /no name of a file/,
    ],
    [
      "a shard that is not there",
      { "s-1.safetensors": one, [INDEX]: sharded[INDEX] },
      MissingFileError,
      /has no s-2\.safetensors/,
    ],
    [
      "a tensor in the wrong shard",
      { ...sharded, [INDEX]: json({ weight_map: { ...map, b: "s-2.safetensors" } }) },
      FormatError,
      /wrongly that "b" is in s-2/,
    ],
    [
      "a tensor in no shard",
      { ...sharded, [INDEX]: json({ weight_map: { ...map, d: "s-2.safetensors" } }) },
      FormatError,
      /wrongly that "d" is in s-2/,
    ],
    [
      "a tensor in two shards",
      { ...sharded, "s-2.safetensors": one },
      FormatError,
      /s-2.safetensors: has the tensor "a", which s-1/,
    ],
    ["a broken shard", { ...sharded, "s-2.safetensors": two.slice(0, 40) }, FormatError, /^s-2\.safetensors: /],
  ])("refuses %s and closes what it opened", async (_, files, type, message) => {
    const folder = counting(files);
    const error = await caught(openCheckpoint(folder));
    expect(error).toBeInstanceOf(type);
    expect(error.message).toMatch(message);
    expect(folder.open_files).toBe(0);
  });

  it("has tensors that the index forgets", async () => {
    expect(await values(folderOf({ ...sharded, [INDEX]: json({ weight_map: { a: map.a, c: map.c } }) }))).toEqual({
      ...A,
      ...C,
    });
  });

  it("streams once", async () => {
    const checkpoint = await openCheckpoint(folderOf(sharded));
    await checkpoint.stream(() => undefined);
    expect(await caught(checkpoint.stream(() => undefined))).toBeInstanceOf(InputError);
  });

  it("closes its files when the stream fails or is aborted", async () => {
    const cut = counting({ "model.safetensors": one.slice(0, -4) }, [5]);
    const bad = await openCheckpoint(cut);
    expect(await caught(bad.stream(() => undefined))).toBeInstanceOf(FormatError);
    expect(cut.open_files).toBe(0);

    const folder = counting(sharded);
    const controller = new AbortController();
    const checkpoint = await openCheckpoint(folder, { signal: controller.signal });
    controller.abort();
    expect(await caught(checkpoint.stream(() => undefined, { signal: controller.signal }))).toBeInstanceOf(AbortError);
    expect(folder.open_files).toBe(0);
  });
});
