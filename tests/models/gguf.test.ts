import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { gunzipSync } from "node:zlib";
import { describe, expect, it } from "vitest";
import { BLOCKS } from "../../src/format/gguf/blocks.ts";
import { Metadata } from "../../src/format/gguf/config.ts";
import { readGgufHeader, type Value } from "../../src/format/gguf/header.ts";
import { ggufTokenizer } from "../../src/format/gguf/tokenizer.ts";
import { openModel } from "../../src/format/open.ts";
import { byteReader, readJson } from "../../src/format/read.ts";
import type { ModelSource } from "../../src/format/source.ts";
import { Tokenizer } from "../../src/format/tokenizer.ts";
import {
  FormatError,
  loadModel,
  pack,
  pipeline,
  plan,
  type Tensor,
  UnsupportedOptionError,
} from "../../src/host/node.ts";
import { distance, safetensors } from "../conformance/compare.ts";

const root = new URL("../fixtures/gguf/", import.meta.url);
const bytesOf = (name: string) => new Uint8Array(readFileSync(new URL(`${name}/model.gguf`, root)));
const pathOf = (name: string) => fileURLToPath(new URL(`${name}/model.gguf`, root));
const cases = readdirSync(root).filter((name) => !name.includes("."));

it("every type of block gives the numbers that gguf's own dequantisation gives, bit for bit", () => {
  const all = safetensors(new URL("blocks.safetensors", root));
  const kinds = BLOCKS.filter(({ unpack }) => unpack);
  expect(kinds.length).toBe(10);
  for (const { name, size, bytes, unpack } of kinds) {
    const { data } = all[name];
    const got = new Float32Array((data.length / bytes) * size);
    for (let at = 0, n = 0; at < data.length; at += bytes, n += size) unpack!(data as never, at, got, n);
    expect(new Int32Array(got.buffer), name).toEqual(
      new Int32Array((all[`${name}.f32`].data as Float32Array).slice().buffer),
    );
  }
});

/** The worst distance of logits, and whether greedy tokens are those expected. */
async function check(source: ModelSource, name: string) {
  const want = safetensors(new URL(`${name}/expected.safetensors`, root));
  const model = await loadModel(source);
  let worst = 0;
  for (const i of [0, 1]) {
    const ids = want[`in.${i}.input_ids`];
    const logits = want[`out.${i}.logits`];
    const got = (await model.forward({ input_ids: ids }, { outputs: ["logits"] })).logits as Tensor;
    // Of files with a tokenizer, the last position's.
    const data = got.data.slice(got.data.length - logits.data.length);
    worst = Math.max(worst, distance({ data, dims: logits.dims }, logits));
    const greedy = want[`out.${i}.greedy`];
    const n = greedy.dims[1] - ids.dims[1];
    const made = await model.generate({ input_ids: ids }, { max_new_tokens: n, min_new_tokens: n, do_sample: false });
    expect(made.flat()).toEqual([...greedy.data]);
  }
  model.dispose();
  return worst;
}

describe("files that the gguf package wrote give what transformers gives with their weights (tests/oracle/gguf_files.py)", () => {
  it.each(cases)("%s", async (name) => {
    expect(await check(pathOf(name), name)).toBeLessThan(2e-4);
  });

  it("from bytes, streams in chunks of any size, and URLs", async () => {
    const bytes = bytesOf("llama-k");
    const chunks = async function* (size: number) {
      for (let at = 0; at < bytes.length; at += size) yield bytes.slice(at, at + size);
    };
    expect(await check(bytes, "llama-k")).toBeLessThan(2e-4);
    expect(await check(chunks(977), "llama-k")).toBeLessThan(2e-4);
    const model = await loadModel("https://example.org/models/a%20b.Q4_0.gguf?download=true", {
      fetch: async (url) => {
        expect(String(url)).toBe("https://example.org/models/a%20b.Q4_0.gguf?download=true");
        return new Response(bytes);
      },
    });
    model.dispose();
    const hub = await loadModel("owner/name/part/model.gguf", {
      fetch: async (url) => {
        expect(String(url)).toBe("https://huggingface.co/owner/name/resolve/main/part/model.gguf");
        return new Response(bytes);
      },
    });
    hub.dispose();
  });

  it("goes into every dtype, is planned from its header, and packed", async () => {
    const packed = await pack(pathOf("llama"), { dtype: "f32" });
    expect(await check(packed, "llama")).toBeLessThan(2e-4);
    for (const dtype of ["q8", "q8-exact", "q4"] as const) {
      const model = await loadModel(pathOf("llama"), { dtype });
      const planned = await plan(pathOf("llama"), { dtype, length: 5 });
      expect(model.plan({ length: 5 })).toEqual(planned);
      const { logits } = await model.forward({ input_ids: [[1, 5, 9, 20, 3]] });
      expect((logits as Tensor).data.every(Number.isFinite)).toBe(true);
      model.dispose();
    }
  });

  it("tells its progress to the last byte", async () => {
    const seen: number[] = [];
    let total = 0;
    const model = await loadModel(pathOf("gemma3"), {
      progress_callback: (p) => {
        seen.push(p.loaded);
        total = p.total;
      },
    });
    expect(seen.at(-1)).toBe(total);
    model.dispose();
  });
});

describe("tokenizers out of metadata", () => {
  const { texts } = JSON.parse(gunzipSync(readFileSync(new URL("../tokenizers/corpus.json.gz", root))).toString()) as {
    texts: string[];
  };
  const open = async (name: string) => {
    const folder = await openModel(pathOf(name));
    const tokenizer = await Tokenizer.load(
      await readJson(folder, "tokenizer.json"),
      await readJson(folder, "tokenizer_config.json"),
    );
    await folder.close?.();
    return tokenizer;
  };
  it.each(["llama", "llama3", "gpt2"])("%s: ids are those of transformers", async (name) => {
    const tokenizer = await open(name);
    const wanted: number[][] = JSON.parse(readFileSync(new URL(`${name}/tokens.json`, root), "utf8"));
    texts
      .filter((_, i) => i % 3 === 0)
      .forEach((text, i) => {
        expect(tokenizer.encode(text, { add_special_tokens: false }).input_ids, JSON.stringify(text)).toEqual(
          wanted[i],
        );
      });
  });

  /** The tokenizer of a file whose metadata say something else. */
  const changed = async (name: string, change: { [key: string]: Value }) => {
    const { header } = await readGgufHeader(byteReader(bytesOf(name)), name, new Uint8Array(0));
    const { tokenizer, config } = ggufTokenizer(
      new Metadata(name, new Map([...header.metadata, ...Object.entries(change)])),
    )!;
    return Tokenizer.load(tokenizer, config);
  };
  const some = texts.filter((_, i) => i % 6 === 0);
  const json = (name: string) => JSON.parse(readFileSync(new URL(name, root), "utf8"));
  it.each(Object.entries<number[][]>(json("splittings.json")))("splits words as %s", async (pre, wanted) => {
    const tokenizer = await changed("llama3", { "tokenizer.ggml.pre": pre });
    for (const [i, text] of some.entries())
      expect(tokenizer.encode(text, { add_special_tokens: false }).input_ids, JSON.stringify(text)).toEqual(wanted[i]);
  });

  it("merges as Gemma does", async () => {
    const tokenizer = await changed("llama", { "general.architecture": "gemma" });
    const wanted: number[][] = json("gemma.json");
    // transformers' class adds tokens of its own to the file's 700.
    const own = [...some.entries()].filter(([i]) => wanted[i].every((id) => id < 700));
    expect(own.length).toBeGreaterThan(30);
    for (const [i, text] of own)
      expect(tokenizer.encode(text, { add_special_tokens: false }).input_ids, JSON.stringify(text)).toEqual(wanted[i]);
  });

  it("serves text-generation", async () => {
    const generate = await pipeline("text-generation", pathOf("llama"));
    const [made] = (await generate("the cat", { max_new_tokens: 5 })) as { generated_text: string }[];
    expect(made.generated_text.startsWith("the cat")).toBe(true);
    const again = await pipeline("text-generation", bytesOf("llama"));
    expect(await again("the cat", { max_new_tokens: 5 })).toEqual([made]);
    generate.dispose();
    again.dispose();
  });

  it("begins with bos where the file or its kind says so", async () => {
    const [llama, llama3, gpt2] = [await open("llama"), await open("llama3"), await open("gpt2")];
    for (const tokenizer of [llama, llama3])
      expect(tokenizer.encode("to").input_ids[0]).toBe(tokenizer.bos_token_id as number);
    expect(gpt2.encode("to").input_ids).toEqual(gpt2.encode("to", { add_special_tokens: false }).input_ids);
    for (const tokenizer of [llama, llama3, gpt2])
      expect(tokenizer.decode(tokenizer.encode("the cat is big").input_ids, { skip_special_tokens: true })).toBe(
        "the cat is big",
      );
  });
});

describe("what would change the numbers and is not here is refused by name", () => {
  /** The file with the bytes of a text changed to another of that length. */
  const changed = (name: string, from: string, to: string) => {
    const bytes = Buffer.from(bytesOf(name));
    const at = bytes.indexOf(from);
    expect(at, from).toBeGreaterThan(0);
    bytes.write(to, at);
    return new Uint8Array(bytes);
  };
  const refused: [name: string, from: string, to: string, error: RegExp][] = [
    ["gemma2", "gemma2.attn_logit_softcapping", "gemma2.attn_magic_softcapping", /attn_magic_softcapping/],
    ["qwen3", "yarn", "nope", /rope\.scaling\.type.*nope/],
    ["llama3", "llama-bpe", "poker-dot", /tokenizer\.ggml\.pre.*poker-dot/],
    ["phi3", "blk.1.ffn_up", "blk.1.ffn_xy", /ffn_xy/],
    ["llama3", "rope_freqs.weight", "rope_frex.weight1", /rope_frex/],
  ];
  it.each(refused)("%s: %s → %s", async (name, from, to, error) => {
    const bytes = changed(name, from, to);
    const load = async () => {
      const folder = await openModel(bytes);
      await readJson(folder, "tokenizer.json");
      (await loadModel(folder)).dispose();
    };
    await expect(load()).rejects.toThrow(error);
  });

  it("types of tensors, versions and byte orders that cannot be read", async () => {
    const bytes = bytesOf("qwen2");
    const at = Buffer.from(bytes).indexOf("token_embd.weight");
    const version = bytes.slice();
    version[4] = 9;
    await expect(loadModel(version)).rejects.toThrow(UnsupportedOptionError);
    const big = bytes.slice();
    big.set([0, 0, 0, 3], 4);
    await expect(loadModel(big)).rejects.toThrow(UnsupportedOptionError);
    const type = bytes.slice();
    type[at + 17 + 4 + 16] = 19; // IQ1_S
    await expect(loadModel(type)).rejects.toThrow(UnsupportedOptionError);
    const dims = bytes.slice();
    dims[at + 17] = 5;
    await expect(loadModel(dims)).rejects.toThrow(FormatError);
    await expect(loadModel(bytes.slice(0, -40))).rejects.toThrow(FormatError);
    const more = new Uint8Array(bytes.length + 64);
    more.set(bytes);
    await expect(loadModel(more)).rejects.toThrow(FormatError);
    await expect(loadModel(new Blob([more]).stream())).rejects.toThrow(FormatError);
  });
});
