import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { gzipSync } from "node:zlib";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import {
  AbortError,
  FetchError,
  FormatError,
  InputError,
  MissingFileError,
  WattentionError,
} from "../../src/errors.ts";
import { openCheckpoint } from "../../src/format/checkpoint.ts";
import { byteReader, chunkReader, readAll, readJson, safePath } from "../../src/format/read.ts";
import { type ModelSource, openFolder } from "../../src/format/source.ts";
import { nodeFolder } from "../../src/host/nodeFiles.ts";
import { type Platform, usePlatform } from "../../src/platform.ts";
import { chunks, gather } from "./helpers.ts";
import { json, tensor, writeSafetensors } from "./write.ts";

const values = Float32Array.from({ length: 50_000 }, (_, i) => i);
const weights = writeSafetensors({ w: tensor(values, [500, 100]) });
const config = { model_type: "bert", hidden_size: 100 };
const pooling = { pooling_mode: "cls" };
const files: Record<string, Uint8Array> = {
  "config.json": json(config),
  "model.safetensors": weights,
  "1_Pooling/config.json": json(pooling),
  "odd name#?%20é.json": json({ odd: 1 }),
};

const root = mkdtempSync(join(tmpdir(), "wattention-source-"));
const model = join(root, "model");
mkdirSync(join(model, "1_Pooling"), { recursive: true });
for (const [path, bytes] of Object.entries(files)) writeFileSync(join(model, path), bytes);
writeFileSync(join(model, "other.safetensors"), weights);

const nothing = (() => {
  throw new Error("not in this test");
}) as () => never;
const host = (folder?: Platform["folder"]) =>
  usePlatform({ module: nothing, pause: nothing, shippedModel: nothing, folder });

/** Reads all there is in a source. */
async function readBack(source: ModelSource, options?: Parameters<typeof openFolder>[1]) {
  const folder = await openFolder(source, options);
  const checkpoint = await openCheckpoint(folder);
  const { sink, data } = gather(7);
  let progress = 0;
  await checkpoint.stream(sink, { onProgress: (n) => (progress += n) });
  expect(progress).toBe(checkpoint.bytes);
  return {
    config: await readJson(folder, "config.json"),
    pooling: await readJson(folder, "1_Pooling/config.json"),
    absent: await readJson(folder, "modules.json"),
    weights: new Float32Array(data.get("w")!.buffer),
    files: [...new Set([...checkpoint.tensors.values()].map((t) => t.file))],
  };
}
const whole = (file = "model.safetensors") => ({ config, pooling, absent: undefined, weights: values, files: [file] });
const caught = (promise: Promise<unknown>) =>
  promise.then(
    () => expect.fail("no error"),
    (e) => e,
  );

beforeAll(() => host(nodeFolder));
afterAll(() => rmSync(root, { recursive: true }));

describe("a folder", () => {
  it("by its path", async () => expect(await readBack(model)).toEqual(whole()));
  it("by its path with a slash", async () => expect(await readBack(`${model}/`)).toEqual(whole()));
  it("by its URL", async () => expect(await readBack(pathToFileURL(model))).toEqual(whole()));
  it("by its URL as text", async () => expect(await readBack(pathToFileURL(model).href)).toEqual(whole()));
  it("by a weights file in it", async () =>
    expect(await readBack(join(model, "other.safetensors"))).toEqual(whole("other.safetensors")));
  it("by the URL of a weights file", async () =>
    expect(await readBack(pathToFileURL(join(model, "other.safetensors")))).toEqual(whole("other.safetensors")));
  it("through a link", async () => {
    symlinkSync(model, join(root, "link"));
    expect(await readBack(join(root, "link"))).toEqual(whole());
  });
  it("by an object that is one", async () => {
    expect(await readBack((await nodeFolder(model))!)).toEqual(whole());
  });
  it("that is not there", async () => {
    for (const path of [join(root, "none"), "./none", pathToFileURL(join(root, "none")), "C:\\none", "a\0b", ""])
      expect(await caught(openFolder(path))).toBeInstanceOf(InputError);
  });
  it("has undefined for what is not a file", async () => {
    const folder = await openFolder(model);
    for (const path of ["none.json", "1_Pooling", "config.json/x", `${"long".repeat(200)}.json`])
      expect(await folder.open(path)).toBeUndefined();
  });
  it("says why a file cannot be opened", async () => {
    const error = await caught((await openFolder(model)).open("a\0b"));
    expect(error).toBeInstanceOf(MissingFileError);
    expect(error.cause.code).toBe("ERR_INVALID_ARG_VALUE");
  });
  it("reads straight into WebAssembly memory, and ends at the end", async () => {
    const memory = new WebAssembly.Memory({ initial: 8 });
    const reader = (await (await openFolder(model)).open("model.safetensors"))!;
    expect(reader.size).toBe(weights.length);
    const view = new Uint8Array(memory.buffer, 4096, weights.length + 100);
    expect(await reader.read(view.subarray(0, 10))).toBe(10);
    expect(await reader.read(view.subarray(10))).toBe(weights.length - 10);
    expect(await reader.read(view)).toBe(0);
    expect(Buffer.compare(new Uint8Array(memory.buffer, 4096, weights.length), weights)).toBe(0);
    await reader.close();
    await reader.close();
    expect(await reader.read(view)).toBe(0);
  });
});

describe("the web", () => {
  let server: Server;
  let base: string;
  let asked: IncomingMessage[] = [];
  /** Answers that are not the file: by path. */
  const special: Record<string, (response: ServerResponse, request: IncomingMessage) => void> = {};

  beforeAll(async () => {
    server = createServer((request, response) => {
      asked.push(request);
      const { pathname } = new URL(request.url!, "http://x");
      if (special[pathname]) return special[pathname](response, request);
      const path = decodeURIComponent(pathname.replace(/^\/(m|org\/name\/resolve\/[^/]+)\//, ""));
      const bytes = files[path] ?? (path === "other.safetensors" ? weights : undefined);
      if (!bytes) return response.writeHead(404).end("no such file");
      response.writeHead(200, { "content-length": bytes.length }).end(bytes);
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    base = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterAll(() => {
    server.closeAllConnections();
    server.close();
  });

  it("by a URL", async () => expect(await readBack(`${base}/m`)).toEqual(whole()));
  it("by a URL with a slash", async () => expect(await readBack(new URL(`${base}/m/`))).toEqual(whole()));
  it("by the URL of a weights file", async () =>
    expect(await readBack(`${base}/m/other.safetensors`)).toEqual(whole("other.safetensors")));

  it("keeps the query for every file", async () => {
    asked = [];
    expect(await readBack(`${base}/m/?token=a%2Fb#part`)).toEqual(whole());
    expect(asked.every(({ url }) => url!.endsWith("?token=a%2Fb"))).toBe(true);
  });

  it("by a hub id, with an endpoint, a revision and headers", async () => {
    asked = [];
    const options = { endpoint: `${base}/`, revision: "refs/pr/1", headers: { authorization: "Bearer x" } };
    expect(await readBack("org/name", options)).toEqual(whole());
    for (const { url, headers } of asked) {
      expect(url).toMatch(/^\/org\/name\/resolve\/refs%2Fpr%2F1\//);
      expect(headers.authorization).toBe("Bearer x");
    }
  });

  it("asks the hub's own endpoint unless told otherwise", async () => {
    const urls: string[] = [];
    const fetch = (async (url: string) => {
      urls.push(url);
      return new Response("", { status: 404 });
    }) as typeof globalThis.fetch;
    for (const id of ["org/name", "gpt2"]) await readJson(await openFolder(id, { fetch }), "config.json");
    expect(urls).toEqual([
      "https://huggingface.co/org/name/resolve/main/config.json",
      "https://huggingface.co/gpt2/resolve/main/config.json",
    ]);
  });

  it("follows a redirect", async () => {
    special["/r/config.json"] = (response) => response.writeHead(302, { location: "/m/config.json" }).end();
    expect(await readJson(await openFolder(`${base}/r`), "config.json")).toEqual(config);
  });

  it("escapes names", async () => {
    expect(await readJson(await openFolder(`${base}/m`), "odd name#?%20é.json".replace("%20", "%2520"))).toEqual({
      odd: 1,
    });
  });

  it("takes a missing file's start page for no file", async () => {
    special["/s/modules.json"] = (response) =>
      response.writeHead(200, { "content-type": "text/html; charset=utf-8" }).end("<!doctype html>");
    expect(await readJson(await openFolder(`${base}/s`), "modules.json")).toBeUndefined();
  });

  it("gives other statuses with the URL", async () => {
    for (const status of [401, 403, 429, 500]) {
      special["/e/config.json"] = (response) => response.writeHead(status).end("no");
      const error = await caught(readJson(await openFolder(`${base}/e`), "config.json"));
      expect(error).toBeInstanceOf(FetchError);
      expect(error).toMatchObject({ status, url: `${base}/e/config.json` });
    }
  });

  it("does not mistake the length of a compressed file for the file's", async () => {
    special["/z/model.safetensors"] = (response) => {
      const bytes = gzipSync(weights);
      response.writeHead(200, { "content-encoding": "gzip", "content-length": bytes.length }).end(bytes);
    };
    const reader = (await (await openFolder(`${base}/z`)).open("model.safetensors"))!;
    expect(reader.size).toBeUndefined();
    expect(Buffer.compare(await readAll(reader, "f"), weights)).toBe(0);
  });

  it("does not trust a length from another origin, which may be that of compressed bytes", async () => {
    for (const [type, size] of [
      ["basic", 9],
      ["default", 9],
      ["cors", undefined],
    ] as const) {
      const fetch = (async () => {
        const response = new Response("12345", { headers: { "content-length": "9" } });
        return Object.defineProperty(response, "type", { value: type });
      }) as typeof globalThis.fetch;
      expect((await (await openFolder("https://x.test/m", { fetch })).open("a"))!.size).toBe(size);
    }
  });

  it("tells of a connection that cannot be made", async () => {
    const error = await caught(readJson(await openFolder("http://127.0.0.1:9/m"), "config.json"));
    expect(error).toBeInstanceOf(FetchError);
    expect(error).toMatchObject({ status: undefined, url: "http://127.0.0.1:9/m/config.json" });
    expect(error.cause).toBeInstanceOf(Error);
  });

  it("tells of a connection cut within a file", async () => {
    special["/c/model.safetensors"] = (response) => {
      response.writeHead(200, { "content-length": weights.length });
      response.write(weights.subarray(0, 1000), () => response.destroy());
    };
    const checkpoint = await openCheckpoint(await openFolder(`${base}/c`));
    const error = await caught(checkpoint.stream(gather().sink));
    expect(error).toBeInstanceOf(FetchError);
    expect(error.url).toBe(`${base}/c/model.safetensors`);
  });

  it("tells of a file that ends early without a word", async () => {
    special["/t/model.safetensors"] = (response) => response.writeHead(200).end(weights.subarray(0, 1000));
    const checkpoint = await openCheckpoint(await openFolder(`${base}/t`));
    const error = await caught(checkpoint.stream(gather().sink));
    expect(error).toBeInstanceOf(FormatError);
    expect(error.offset).toBe(1000);
  });

  it("stops where the caller aborts, while it waits for bytes", async () => {
    special["/a/model.safetensors"] = (response) => {
      response.writeHead(200, { "content-length": weights.length });
      response.write(weights.subarray(0, 1000));
    };
    const controller = new AbortController();
    const { signal } = controller;
    const checkpoint = await openCheckpoint(await openFolder(`${base}/a`), { signal });
    setTimeout(() => controller.abort("bored"), 20);
    const error = await caught(checkpoint.stream(gather().sink, { signal }));
    expect(error).toBeInstanceOf(AbortError);
    expect(error.cause).toBe("bored");
    expect(await caught((await openFolder(`${base}/m`)).open("config.json", signal))).toBeInstanceOf(AbortError);
  });

  it("is what a path means on a host without files", async () => {
    host(undefined);
    try {
      const urls: string[] = [];
      const fetch = (async (url: string) => {
        urls.push(url);
        return new Response("{}");
      }) as typeof globalThis.fetch;
      for (const path of ["./models/m", "/models/m/", "../m/x.safetensors"])
        await readJson(await openFolder(path, { fetch }), "config.json");
      await readJson(await openFolder("models/m", { fetch }), "config.json");
      expect(urls).toEqual([
        "./models/m/config.json",
        "/models/m/config.json",
        "../m/config.json",
        "https://huggingface.co/models/m/resolve/main/config.json",
      ]);
    } finally {
      host(nodeFolder);
    }
  });
});

describe("files at hand", () => {
  const stream = (sizes: number[]) =>
    new ReadableStream<Uint8Array>({
      async start(controller) {
        for await (const chunk of chunks(weights, sizes)) controller.enqueue(chunk);
        controller.close();
      },
    });
  const buffer = weights.slice().buffer;
  const given = { config, "1_Pooling/config.json": pooling };

  it.each<[string, () => ModelSource]>([
    ["bytes", () => ({ ...given, weights })],
    ["an ArrayBuffer", () => ({ ...given, weights: buffer })],
    [
      "a view of a larger buffer",
      () => {
        const large = new Uint8Array(weights.length + 64);
        large.set(weights, 40);
        return { ...given, weights: large.subarray(40, 40 + weights.length) };
      },
    ],
    ["a Blob", () => ({ ...given, weights: new Blob([weights.slice()]) })],
    ["a ReadableStream", () => ({ ...given, weights: stream([1000, 1, 70_000]) })],
    ["an AsyncIterable", () => ({ ...given, weights: chunks(weights, [3000]) })],
    [
      "JSON as text",
      () => ({ weights, config: JSON.stringify(config), "1_Pooling/config.json": JSON.stringify(pooling) }),
    ],
    ["JSON as bytes", () => ({ weights, config: json(config), "1_Pooling/config.json": json(pooling) })],
    ["absent ones", () => ({ ...given, weights, modules: undefined, tokenizer: undefined })],
  ])("%s", async (_, source) => expect(await readBack(source())).toEqual(whole()));

  it("a file by its name", async () => {
    expect(await readBack({ ...given, weights: { "a.safetensors": weights } })).toEqual(whole("a.safetensors"));
  });

  it("names a JSON file by its key", async () => {
    const folder = await openFolder({ config, weights, tokenizer_config: { a: 1 }, modules: [1] });
    expect(await readJson(folder, "tokenizer_config.json")).toEqual({ a: 1 });
    expect(await readJson(folder, "modules.json", undefined, true)).toEqual([1]);
  });

  it("can be read again, but not a stream", async () => {
    const again = await openFolder({ config, weights });
    for (let i = 0; i < 2; i++) await (await openCheckpoint(again)).close();
    const once = await openFolder({ config, weights: stream([100]) });
    await (await openCheckpoint(once)).close();
    expect(await caught(openCheckpoint(once))).toBeInstanceOf(InputError);
  });

  it("does not let NaN become the default", async () => {
    const folder = await openFolder({ config: { a: Number.NaN, b: Number.POSITIVE_INFINITY, c: null }, weights });
    expect(await readJson(folder, "config.json")).toEqual({ a: "NaN", b: "Infinity", c: null });
  });

  it("refuses what is none of these", async () => {
    const cyclic: Record<string, unknown> = {};
    cyclic.self = cyclic;
    const sources = [
      {},
      { config },
      { weights },
      [],
      null,
      undefined,
      7,
      { config: null, weights },
    ] as unknown as ModelSource[];
    for (const source of sources) expect(await caught(openFolder(source))).toBeInstanceOf(InputError);
    const folder = await openFolder({ config: cyclic, weights });
    expect(await caught(readJson(folder, "config.json"))).toBeInstanceOf(InputError);
    const strings = await openFolder({
      config,
      weights: new ReadableStream({ pull: (c) => c.enqueue("text" as never) }),
    });
    expect(await caught(openCheckpoint(strings))).toBeInstanceOf(InputError);
    for (const weights of [{}, { "a.safetensors": new Uint8Array(0) }] as Record<string, Uint8Array>[])
      expect(await caught(openFolder({ config, weights }).then((f) => openCheckpoint(f)))).toBeInstanceOf(
        WattentionError,
      );
  });

  it("passes on an error of the caller's own stream", async () => {
    const own = new Error("mine");
    const folder = await openFolder({ config, weights: new ReadableStream({ pull: (c) => c.error(own) }) });
    expect(await caught(openCheckpoint(folder))).toBe(own);
  });
});

describe("chunkReader", () => {
  it("gives the same bytes for any chunks and any reads", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.uint8Array({ maxLength: 9 })),
        fc.array(fc.integer({ min: 1, max: 12 }), { minLength: 1 }),
        async (parts, reads) => {
          const all = parts.flatMap((p) => [...p]);
          const reader = chunkReader(parts.values());
          const got: number[] = [];
          for (let i = 0; ; i++) {
            const into = new Uint8Array(reads[i % reads.length]);
            const n = await reader.read(into);
            got.push(...into.subarray(0, n));
            if (n < into.length) break;
          }
          expect(got).toEqual(all);
        },
      ),
    );
  });

  it("ends its source when closed early", async () => {
    let ended = false;
    async function* source() {
      try {
        for (;;) yield new Uint8Array(8);
      } finally {
        ended = true;
      }
    }
    const reader = byteReader(source());
    await reader.read(new Uint8Array(4));
    await reader.close();
    expect(ended).toBe(true);
    expect(await reader.read(new Uint8Array(4))).toBe(0);
  });
});

describe("JSON files", () => {
  const folder = (text: string | Uint8Array) => openFolder({ config: text, weights });
  it.each<[string, string | Uint8Array]>([
    ["no JSON", "{"],
    ["nothing", ""],
    ["a list", "[]"],
    ["null", "null"],
    ["a number", "7"],
    ["bad UTF-8", Uint8Array.of(0x22, 0xff, 0x22)],
  ])("refuses %s", async (_, text) => {
    const error = await caught(folder(text).then((f) => readJson(f, "config.json")));
    expect(error).toBeInstanceOf(text === "" ? InputError : FormatError);
    if (text) expect(error.file).toBe("config.json");
  });

  it("refuses one that does not end", async () => {
    const endless = chunkReader({ next: () => ({ value: new Uint8Array(1 << 16) }) });
    const error = await caught(readAll(endless, "tokenizer.json", 1 << 20));
    expect(error).toBeInstanceOf(FormatError);
    expect(error.message).toBe("tokenizer.json: has more than 1048576 bytes");
  });

  it("reads one as long as the limit, whatever it says of its size", async () => {
    for (const size of [undefined, 0, 10, 5000, 99_999])
      expect((await readAll(chunkReader([new Uint8Array(5000)].values(), size), "f", 5000)).length).toBe(5000);
  });
});

describe("safePath", () => {
  it("keeps to the folder", () => {
    for (const good of ["a.safetensors", "..a", "a b", "é", "model-00001-of-00002.safetensors"])
      expect(safePath(good, "f")).toBe(good);
    expect(safePath("1_Pooling/x/y.json", "f", true)).toBe("1_Pooling/x/y.json");
    for (const bad of [
      "",
      ".",
      "..",
      "a/b",
      "../a",
      "/a",
      "a\\b",
      "C:a",
      "a\0",
      "a\n",
      "\ud800",
      7,
      null,
      undefined,
      {},
    ])
      expect(() => safePath(bad, "f")).toThrow(FormatError);
    for (const bad of ["a/../b", "a/", "/a", "a//b", "./a", ""])
      expect(() => safePath(bad, "f", true)).toThrow(FormatError);
  });
});
