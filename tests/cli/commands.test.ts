import { cpSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { describe, expect, it } from "vitest";
import { pipeline, plan } from "../../src/host/node.ts";
import { attentionRollout } from "../../src/view/rollout.ts";
import { fixtures, folder, root, runBytes, wattention } from "./run.ts";

const at = folder();
/** The model that ships, as it is packed, and the folder that it was packed from. */
const shipped = `${root}dist/shipped/default-embedder.safetensors`;
const embedder = `${root}models/default-embedder`;

/** Standard output as JSON, of a command that went well. */
async function json(args: readonly string[], input?: string) {
  const { code, stdout, stderr } = await wattention([...args, "--json"], { input });
  expect([code, stderr]).toEqual([0, ""]);
  return JSON.parse(stdout);
}

/** As the f32 that were printed with as few digits as give them back. */
const f32 = (v: unknown): unknown => (Array.isArray(v) ? v.map(f32) : Math.fround(v as number));

describe("embed", () => {
  const texts = ["a cat", "", "the dog, die Katze, 猫 🐈"];
  const vectors = async (options = {}) => {
    using extract = await pipeline("feature-extraction", shipped);
    return (await extract(texts, options)).tolist();
  };

  const embedded = async (args: readonly string[], input?: string) => {
    const { vectors, ...rest } = await json(["embed", ...args], input);
    return { ...rest, vectors: f32(vectors) };
  };

  it("gives the library's numbers, from arguments, from a file, from standard input, and as JSON lines", async () => {
    const expected = { dims: [3, 384], vectors: await vectors() };
    expect(await embedded(texts)).toEqual(expected);
    writeFileSync(at("texts.txt"), `${texts.join("\r\n")}\n`);
    expect(await embedded(["--file", at("texts.txt")])).toEqual(expected);
    expect(await embedded([], texts.join("\n"))).toEqual(expected);
    const lines = texts.map((text, i) => JSON.stringify(i % 2 ? text : { text, id: i })).join("\n");
    expect(await embedded(["--jsonl", "--file", "-"], lines)).toEqual(expected);
    const { stdout } = await wattention(["embed", ...texts]);
    const rows = stdout.trimEnd().split("\n");
    expect(rows.map((line) => f32(JSON.parse(line)))).toEqual(expected.vectors);
  });

  it("does what options say", async () => {
    const args = [...texts, "--pooling", "max", "--normalize"];
    expect((await embedded(args)).vectors).toEqual(await vectors({ pooling: "max", normalize: true }));
    expect((await embedded([...texts, "--no-normalize"])).vectors).toEqual(await vectors({ normalize: false }));
    const { vectors: tokens } = await json(["embed", "a cat", "", "--pooling", "none"]);
    expect(tokens.map((t: number[][]) => [t.length, t[0].length])).toEqual([
      [4, 256],
      [2, 256],
    ]);
  });

  it("writes NumPy files", async () => {
    const { code, stdout } = await runBytes(["embed", ...texts, "--format", "npy"]);
    expect(code).toBe(0);
    const head = stdout.readUInt16LE(8) + 10;
    expect([stdout.toString("latin1", 0, 8), head % 64]).toEqual(["\x93NUMPY\x01\x00", 0]);
    expect(stdout.toString("latin1", 10, head)).toMatch(
      /^\{'descr': '<f4', 'fortran_order': False, 'shape': \(3, 384\), \} *\n$/,
    );
    const numbers = new Float32Array(new Uint8Array(stdout.subarray(head)).buffer);
    expect(Array.from(numbers)).toEqual((await vectors()).flat());
  });

  it("takes no text for none", async () => {
    expect(await json(["embed"])).toEqual({ dims: [0, 0], vectors: [] });
    expect(await wattention(["embed"])).toEqual({ code: 0, stdout: "", stderr: "" });
  });

  it("has a prompt put before", async () => {
    cpSync(embedder, at("prompts"), { recursive: true });
    writeFileSync(at("prompts/config_sentence_transformers.json"), '{"prompts":{"query":"query: "}}');
    const prompted = await json(["embed", "a cat", "-m", at("prompts"), "--prompt-name", "query"]);
    expect(prompted).toEqual(await json(["embed", "query: a cat", "-m", embedder]));
  });

  it("loads from a server, as a URL and as a hub id", async () => {
    const server = createServer(({ url }, response) => {
      const path = url!.replace("/org/name/resolve/v1", "");
      try {
        response.end(readFileSync(fixtures + path.replace("/folder", "/mask")));
      } catch {
        response.writeHead(404).end();
      }
    });
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const expected = await json(["embed", "a cat", "-m", `${fixtures}/mask`]);
    expect(await json(["embed", "a cat", "-m", `${url}/folder`])).toEqual(expected);
    server.removeAllListeners("request").on("request", ({ url }, response) => {
      const file = /^\/org\/name\/resolve\/v1\/([\w./]+)$/.exec(url)?.[1];
      try {
        response.end(readFileSync(`${fixtures}/mask/${file}`));
      } catch {
        response.writeHead(404).end();
      }
    });
    expect(await json(["embed", "a cat", "-m", "org/name", "--endpoint", url, "--revision", "v1"])).toEqual(expected);
    server.close();
  });
});

describe("search", () => {
  mkdirSync(at("notes/more"), { recursive: true });
  writeFileSync(
    at("notes/pets.md"),
    "# Pets\n\nAll about animals.\n\n## Cats\n\nThe cat sleeps on the sofa.\n\n## Dogs\n\nThe dog barks at the mailman.\n",
  );
  writeFileSync(at("notes/more/money.txt"), "Shares fell on Monday.\n\nThe central bank raised interest rates.\n");
  writeFileSync(at("notes/.hidden.md"), "The cat is hidden.\n");
  writeFileSync(at("notes/data.csv"), "cat,1\n");

  it("finds passages with file, line, text and the cosine", async () => {
    const found = await json(["search", "a kitten naps", "stock market", "--docs", at("notes"), "-k", "2"]);
    expect(found.map(({ query }: { query: string }) => query)).toEqual(["a kitten naps", "stock market"]);
    for (const { hits } of found) expect(hits).toHaveLength(2);
    const [[cat], [shares]] = found.map(({ hits }: { hits: object[] }) => hits);
    expect(cat).toMatchObject({ file: at("notes/pets.md"), line: 7, text: "Pets > Cats: The cat sleeps on the sofa." });
    expect(shares).toMatchObject({ file: at("notes/more/money.txt"), line: 1 });
    using extract = await pipeline("feature-extraction", shipped);
    const [a, b] = (await extract(["a kitten naps", cat.text], { normalize: true })).tolist() as number[][];
    expect(cat.score).toBeCloseTo(
      a.reduce((sum, v, i) => sum + v * b[i], 0),
      5,
    );
  });

  it("reads each file once and no hidden ones, and shows hits in at most 80 columns", async () => {
    const docs = [at("notes"), at("notes/pets.md"), `${at("notes")}/../notes/pets.md`];
    const { stdout } = await wattention(["search", "cat", "--docs", ...docs, "-k", "99"]);
    expect(stdout).not.toContain("hidden");
    expect(stdout.match(/The cat sleeps/g)).toHaveLength(1);
    for (const line of stdout.split("\n")) if (!line.includes(at(""))) expect(line.length).toBeLessThanOrEqual(80);
  });

  it("saves an index and searches it, one query a line", async () => {
    const built = await wattention(["search", "--docs", at("notes"), "--index", at("index.safetensors")]);
    expect([built.code, built.stdout]).toEqual([0, ""]);
    expect(built.stderr).toContain("4 passages of 2 files");
    const args = ["search", "--index", at("index.safetensors")];
    const found = await json(args, "a kitten naps\n\nstock market\n");
    expect(found).toEqual(await json(["search", "a kitten naps", "stock market", "--docs", at("notes")]));
  });

  it("refuses an index of another model, be its vectors as long or not", async () => {
    cpSync(embedder, at("cls"), { recursive: true });
    writeFileSync(at("cls/1_Pooling/config.json"), '{"pooling_mode":"cls"}');
    for (const model of [at("cls"), `${fixtures}/mask`]) {
      const { code, stderr } = await wattention(["search", "cat", "--index", at("index.safetensors"), "-m", model]);
      expect([code, stderr]).toEqual([1, `wattention: ${at("index.safetensors")} was made by another model\n`]);
    }
  });
});

describe("rerank and answer", () => {
  it("order documents as the library does", async () => {
    const query = "how do cats sleep";
    const documents = ["Stocks fell.", "Cats nap often.", "The dog barks."];
    using rank = await pipeline("text-ranking", `${fixtures}/rerank`);
    const expected = await rank(query, documents, { return_documents: true });
    const args = ["rerank", query, "-m", `${fixtures}/rerank`];
    expect(await json([...args, ...documents])).toEqual(expected);
    expect(await json([...args, "-k", "1"], documents.join("\n\n"))).toEqual(expected.slice(0, 1));
    const { stdout } = await wattention([...args, ...documents]);
    expect(stdout.split("\n")[0]).toBe(`${expected[0].score.toFixed(4).padStart(8)}  ${expected[0].text}`);
  });

  it("answer from files, with file and line", async () => {
    const context = "Dogs bark.\nCats sleep on the sofa. Birds sing.\n";
    writeFileSync(at("context.txt"), context);
    writeFileSync(at("blank.txt"), "\n\n");
    const question = "where do cats sleep?";
    using ask = await pipeline("question-answering", `${fixtures}/qa`);
    const expected = await ask(question, context, { top_k: 2 });
    const args = ["answer", question, "-m", `${fixtures}/qa`, "-k", "2"];
    const found = await json([...args, "--file", at("context.txt"), at("blank.txt")]);
    expect(found).toMatchObject(expected);
    for (const { file, start, line } of found)
      expect([file, line]).toEqual([at("context.txt"), context.slice(0, start).split("\n").length]);
    expect(await json(args, context)).toMatchObject(expected);
    expect(await json([...args, context])).toMatchObject(expected);
    const { stdout } = await wattention([...args, "--file", at("context.txt")]);
    expect(stdout).toContain(`  ${at("context.txt")}:${found[0].line}\n`);
  });
});

describe("attention", () => {
  const text = "The bank raised rates.";
  const own = async () => {
    using extract = await pipeline("feature-extraction", shipped);
    const { input_ids, tokens } = extract.tokenizer.encode(text);
    const { attentions } = await extract.model.forward({ input_ids }, { outputs: ["attentions"] });
    return { tokens, attentions: attentions as never[] };
  };

  it("gives one head, the mean, the rollout, as the library computes them", async () => {
    const { tokens, attentions } = await own();
    const layers = attentions as Parameters<typeof attentionRollout>[0];
    const head = await json(["attention", text, "--layer", "1", "--head", "-1"]);
    expect(head).toEqual({
      tokens,
      layers: 4,
      heads: 4,
      layer: 1,
      head: 3,
      attention: layers[1].row(0).row(3).tolist(),
    });
    const rolled = await json(["attention", "--rollout"], `${text}\n`);
    expect(rolled).toEqual({
      tokens,
      layers: 4,
      heads: 4,
      rollout: true,
      attention: attentionRollout(layers).tolist(),
    });
    const mean = await json(["attention", text, "--skip-special"]);
    expect(mean).toMatchObject({ layer: 3, head: "mean", tokens: tokens.slice(1, -1) });
    const last = layers[3].row(0).tolist() as number[][][];
    for (const [i, row] of mean.attention.entries())
      for (const [j, p] of row.entries()) {
        const sum = last.reduce((all, head) => all + head[i + 1][j + 1], 0);
        expect(p).toBeCloseTo(sum / 4, 6);
      }
  });

  it("draws a map without colours, and writes SVG and HTML", async () => {
    const { code, stdout, stderr } = await wattention([
      "attention",
      text,
      "--svg",
      at("a.svg"),
      "--html",
      at("a.html"),
    ]);
    expect([code, stderr]).toEqual([0, `wrote ${at("a.svg")}\nwrote ${at("a.html")}\n`]);
    expect(stdout).toContain("layer 3 of 0–3, mean of 4 heads");
    expect(stdout).toMatch(/^ *bank [ ░▒▓█]+$/m);
    expect(stdout).not.toContain("\x1b");
    expect(readFileSync(at("a.svg"), "utf8")).toMatch(/^<svg .*<\/svg>/);
    expect(readFileSync(at("a.html"), "utf8")).toMatch(/^<!doctype html>.*<title>The bank raised rates\.<\/title>/);
  });

  it("takes a pair of texts", async () => {
    const { tokens } = await json(["attention", "a cat", "--pair", "a dog"]);
    expect(tokens).toEqual(["[CLS]", "a", "cat", "[SEP]", "a", "dog", "[SEP]"]);
  });

  it("does not send what could steer a terminal", async () => {
    const { stdout } = await wattention(["attention"], { input: "a \x1b]0;owned\x07 cat\r" });
    expect(stdout).not.toMatch(/[\x1b\x07\r]/);
  });
});

describe("inspect", () => {
  it("says what a model is, without reading it", async () => {
    const report = await json(["inspect", embedder, "--batch", "2", "--length", "64"]);
    expect(report).toMatchObject({
      model_type: "electra",
      layers: 4,
      heads: 4,
      hidden_size: 256,
      positions: 512,
      tokenizer: { model: "WordPiece", vocab_size: 30522, max_length: 256 },
    });
    const size = ({ dims }: { dims: number[] }) => dims.reduce((a, b) => a * b, 1);
    const tensors = report.tensors as { name: string; dtype: string; dims: number[] }[];
    expect(report.parameters).toBe(tensors.reduce((sum, t) => sum + size(t), 0));
    expect(report.bytes).toBe(2 * report.parameters); // F16
    expect(tensors.map(({ name }) => name)).toContain("2_Dense/linear.weight");
    const { stdout } = await wattention(["inspect", embedder]);
    expect(stdout).toContain("encoder.layer.{0…3}.attention.self.query.weight");
  });

  it("plans exactly what a run takes", async () => {
    const inspected = async (...args: string[]) => (await json(["inspect", ...args])).plan;
    using extract = await pipeline("feature-extraction", embedder);
    const planned = await inspected(embedder, "--batch", "4", "--length", "120");
    await extract(new Array(4).fill("cat ".repeat(118)));
    expect(planned.total).toBe(extract.model.session.engine.memory.bytes);
    const shape = { batch: 3, length: 60 };
    const outputs = ["attentions"];
    const attentions = await inspected(embedder, "-b", "3", "-l", "60", "--outputs", ...outputs);
    expect(attentions).toEqual({ ...shape, outputs, ...extract.model.plan(shape, outputs) });
    const classifier = `${fixtures}/rerank`;
    expect(await inspected(classifier, "-b", "3", "-l", "20")).toEqual({
      batch: 3,
      length: 20,
      ...(await plan(classifier, { batch: 3, length: 20 })),
    });
  });

  it("gives what it can of a model type that is not supported", async () => {
    cpSync(`${fixtures}/rerank`, at("odd"), { recursive: true });
    writeFileSync(at("odd/config.json"), '{"model_type":"mamba"}');
    const report = await json(["inspect", at("odd")]);
    expect(report.unsupported).toContain('"mamba" is not supported');
    expect(report.tensors.length).toBeGreaterThan(10);
    expect((await wattention(["inspect", at("odd")])).stdout).toContain('no: model_type "mamba"');
  });
});

describe("bench", () => {
  it("counts runs, plans and ops", async () => {
    const report = await json([
      "bench",
      "-m",
      `${fixtures}/rerank`,
      "--length",
      "4",
      "9",
      "--batch",
      "2",
      "--seconds",
      "1",
    ]);
    expect(report).toMatchObject({ batch: 2, lengths: [{ length: 4 }, { length: 9 }] });
    for (const { runs, median_ms, min_ms, plan } of report.lengths) {
      expect(runs).toBeGreaterThanOrEqual(5);
      expect(median_ms).toBeGreaterThanOrEqual(min_ms);
      expect(plan.total).toBeGreaterThan(plan.weights);
    }
    const ops = report.profile.ops.map(({ op }: { op: string }) => op);
    expect(ops).toEqual(expect.arrayContaining(["matmul", "attention", "layer_norm", "embed"]));
    const { stdout } = await wattention(["bench", "-m", `${fixtures}/rerank`, "--length", "4", "--seconds", "1"]);
    expect(stdout).toMatch(/^op +count +ms +share +GFLOP\/s +MB +GB\/s$/m);
  });
});

describe("demo", () => {
  it("searches the package's own documents and draws attention", async () => {
    const report = await json(["demo"]);
    expect(report.files).toBeGreaterThan(20);
    expect(report.passages).toBeGreaterThan(report.files);
    for (const { hits } of report.answers)
      for (const { id } of hits) {
        const [file, line] = id.split(":");
        expect(readFileSync(root + file, "utf8").split("\n").length).toBeGreaterThanOrEqual(Number.parseInt(line, 10));
      }
    expect(report.attention.matrix).toHaveLength(report.attention.tokens.length);
  });

  it("is readable at 80 columns", async () => {
    const { code, stdout, stderr } = await wattention(["demo"]);
    expect([code, stderr]).toEqual([0, ""]);
    for (const line of stdout.split("\n")) expect(line.length, line).toBeLessThanOrEqual(80);
    expect(stdout).toMatch(/[░▒▓█]{4}/);
  });
});
