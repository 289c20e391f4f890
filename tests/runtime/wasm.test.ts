/** The module as a caller gives it, in every form, and what is refused. */

import { readFileSync } from "node:fs";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { EngineError, FetchError, loadModel, MultiheadAttention, pipeline, Tensor } from "../../src/host/node.ts";
import { platform, usePlatform, type WasmSource } from "../../src/platform.ts";
import { Engine } from "../../src/runtime/engine.ts";
import { tinyBert } from "../tiny.ts";

const file = (build: string) => new URL(`../../dist/wasm/${build}.wasm`, import.meta.url);
const bytes = (build: string) => new Uint8Array(readFileSync(file(build)));
const reply = (type: string, init: ResponseInit = {}) =>
  new Response(bytes("simd"), { headers: { "content-type": type }, ...init });

let server: Server;
let at: string;
beforeAll(async () => {
  server = createServer(({ url }, response) => {
    if (url !== "/simd.wasm") response.writeHead(404).end();
    else response.writeHead(200, { "content-type": "application/wasm" }).end(bytes("simd"));
  }).listen(0, "127.0.0.1");
  await new Promise((done) => server.once("listening", done));
  at = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
});
afterAll(() => void server.close());

const input = { input_ids: [[3, 7, 11, 20, 4]] };
const vectors = async (options: Parameters<typeof loadModel>[1]) => {
  using model = await loadModel(tinyBert(), options);
  return ((await model.forward(input)).last_hidden_state as Tensor).data;
};

describe("wasm", () => {
  it("may be a module, bytes, a response, a URL, or a promise of these: the same numbers as the host's own", async () => {
    const module = vi.spyOn(platform(), "module");
    const forms: (WasmSource | PromiseLike<WasmSource>)[] = [
      new WebAssembly.Module(bytes("simd")),
      bytes("simd"),
      bytes("simd").buffer,
      reply("application/wasm"),
      reply("application/octet-stream"), // which no engine compiles as it comes
      reply("application/wasm; charset=utf-8"),
      file("simd"),
      String(file("simd")),
      new URL(`${at}/simd.wasm`),
      `${at}/simd.wasm`,
      fetch(`${at}/simd.wasm`),
      Promise.resolve(bytes("simd")),
    ];
    const got = [];
    for (const wasm of forms) got.push(await vectors({ wasm, deterministic: true }));
    expect(module).not.toHaveBeenCalled();
    module.mockRestore();
    const own = await vectors({ deterministic: true });
    for (const data of got) expect(data).toEqual(own);
    expect(await vectors({ wasm: bytes("relaxed") })).toEqual(await vectors({}));
  });

  it("says which build an engine runs, whatever the host would take", async () => {
    for (const build of ["simd", "relaxed"] as const)
      expect((await Engine.create({ wasm: bytes(build) })).build).toBe(build);
  });

  it("is read once, however many engines come of it", async () => {
    const wasm = reply("application/wasm");
    const [a, b] = await Promise.all([vectors({ wasm }), vectors({ wasm })]);
    expect(a).toEqual(b);
  });

  it("serves tasks, the index of a search, and layers", async () => {
    const module = vi.spyOn(platform(), "module");
    const model = new URL("../../dist/shipped/default-embedder.safetensors", import.meta.url);
    const wasm = bytes("simd");
    using search = await pipeline("semantic-search", model, { wasm });
    await search.add(["a cat", "a tax form"]);
    expect((await search.search("a kitten"))[0].id).toBe("a cat");
    await search.load(await search.save());
    const layer = new MultiheadAttention(8, 2, { wasm });
    const x = new Tensor(new Float32Array(24).fill(0.5), [3, 8]);
    expect((await layer.forward(x, x, x)).out.dims).toEqual([3, 8]);
    expect(module).not.toHaveBeenCalled();
    module.mockRestore();
  });

  it("refuses what is not of this library, or not what was asked for, by a typed error", async () => {
    const empty = Uint8Array.of(0, 97, 115, 109, 1, 0, 0, 0);
    for (const wasm of [empty, new WebAssembly.Module(empty), new Response(empty), Uint8Array.of(1, 2), 5 as never])
      await expect(Engine.create({ wasm })).rejects.toBeInstanceOf(EngineError);
    await expect(Engine.create({ wasm: empty })).rejects.toThrow("no module of wattention");
    await expect(Engine.create({ wasm: bytes("relaxed"), deterministic: true })).rejects.toMatchObject({
      name: "UnsupportedOptionError",
      option: "wasm with deterministic: true",
      supported: ["simd"],
    });
    const missing = await Engine.create({ wasm: `${at}/none.wasm` }).catch((e) => e);
    expect(missing).toBeInstanceOf(FetchError);
    expect(missing).toMatchObject({ url: `${at}/none.wasm`, status: 404 });
    await expect(Engine.create({ wasm: "http://127.0.0.1:1/x.wasm" })).rejects.toMatchObject({ name: "FetchError" });
  });

  it("tries again what failed", async () => {
    const url = `${at}/later.wasm`;
    await expect(Engine.create({ wasm: url })).rejects.toBeInstanceOf(FetchError);
    const get = vi.spyOn(globalThis, "fetch").mockImplementation(async () => reply("application/wasm"));
    expect((await Engine.create({ wasm: url })).build).toBe("simd");
    get.mockRestore();
  });
});

it("a search is deterministic where it is asked to be, its index included", async () => {
  const model = new URL("../../dist/shipped/default-embedder.safetensors", import.meta.url);
  const create = vi.spyOn(Engine, "create");
  using search = await pipeline("semantic-search", model, { deterministic: true });
  await search.add(["one"]);
  expect(create.mock.results).toHaveLength(2);
  for (const { value } of create.mock.results) expect((await value).build).toBe("simd");
  create.mockRestore();
});

it("a page whose policy forbids WebAssembly is told which directive it needs", async () => {
  // As Chromium, Firefox and WebKit word it.
  const worded = [
    "WebAssembly.compile(): Compiling or instantiating WebAssembly module violates the following Content Security policy directive because 'unsafe-eval' is not allowed",
    "call to WebAssembly.compile() blocked by CSP",
    "Refused to create a WebAssembly object because 'unsafe-eval' or 'wasm-unsafe-eval' is not an allowed source of script",
  ];
  const usual = platform();
  for (const message of worded) {
    usePlatform({ ...usual, module: () => Promise.reject(new WebAssembly.CompileError(message)) });
    vi.resetModules();
    const engine = await import("../../src/runtime/engine.ts");
    (await import("../../src/platform.ts")).usePlatform(platform());
    const error = await engine.Engine.create().catch((e) => e);
    expect(error).toMatchObject({ name: "EngineError", message: expect.stringContaining("'wasm-unsafe-eval'") });
  }
  usePlatform(usual);
});
