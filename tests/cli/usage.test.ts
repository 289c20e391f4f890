import { spawn } from "node:child_process";
import { cpSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import type { AddressInfo } from "node:net";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { fixtures, folder, main, root, wattention } from "./run.ts";

const at = folder();
const WRITER = "tests/fixtures/writing/gpt2";
const embedder = `${root}models/default-embedder`;
const COMMANDS =
  "embed search rerank answer generate translate summarize caption transcribe recommend attention inspect pack serve bench demo".split(
    " ",
  );

describe("help", () => {
  it("lists the commands, and the version is the package's", async () => {
    const { code, stdout } = await wattention(["--help"]);
    expect(code).toBe(0);
    for (const name of COMMANDS) expect(stdout).toMatch(new RegExp(`^  ${name} `, "m"));
    const { version } = JSON.parse(readFileSync(`${root}package.json`, "utf8"));
    expect((await wattention(["--version"])).stdout).toBe(`${version}\n`);
  });

  it.each(COMMANDS)("of %s has an example and the options that all have", async (name) => {
    const { code, stdout, stderr } = await wattention([name, "--help"]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toContain(`Examples:\n  wattention ${name}`);
    for (const option of ["--json", "--model <source>"]) expect(stdout).toContain(option);
  });
});

describe("exit code 2, one line on standard error, for", () => {
  it.each([
    ["an unknown command", ["frobnicate"], "frobnicate"],
    ["an unknown option", ["embed", "a", "--frob"], "--frob"],
    ["a negative top-k", ["search", "q", "--docs", "docs", "--top-k", "-3"], "whole number from 1 on"],
    ["a top-k that is no number", ["search", "q", "--docs", "docs", "-k", "1e1"], "whole number"],
    ["an unknown pooling", ["embed", "a", "--pooling", "median"], "median"],
    ["an unknown format", ["embed", "a", "--format", "csv"], "csv"],
    ["npy of token vectors", ["embed", "a", "--format", "npy", "--pooling", "none"], "npy"],
    ["normalised token vectors", ["embed", "a", "--normalize", "--pooling", "none"], "normalize"],
    ["a prompt that the model has not", ["embed", "a", "--prompt-name", "query"], "query"],
    ["a layer that the model has not", ["attention", "a", "--layer", "9"], "no layer 9: the model has 4, 0 to 3"],
    ["a layer before the first", ["attention", "a", "--layer", "-5"], "no layer -5"],
    ["a head that the model has not", ["attention", "a", "--head", "4"], "no head 4"],
    ["a head that is no number", ["attention", "a", "--head", "all"], "whole number or"],
    ["a head of a rollout", ["attention", "a", "--head", "1", "--rollout"], "--rollout"],
    ["a text twice", ["attention", "a", "--file", "README.md"], "--file"],
    ["a plan of no tokens", ["inspect", "--length", "0"], "from 1 on"],
    ["a plan of too many tokens", ["inspect", "--length", "513"], "512 positions"],
    ["a plan for an output that is not", ["inspect", "--outputs", "logits"], "last_hidden_state"],
    ["a bench of too many tokens", ["bench", "--length", "16", "513"], "513"],
    ["a search of nothing", ["search", "q"], "--docs or --index"],
    ["rerank without a model", ["rerank", "q", "a"], "cross-encoder"],
    ["rerank without a query", ["rerank"], "query"],
    ["answer without a model", ["answer", "q", "a"], "question-answering model"],
    ["generate without a model", ["generate"], "decoder"],
    ["a pattern that is none", ["generate", WRITER, "a", "--regex", "(?=a)"], "regex"],
    ["a pattern and a schema", ["generate", WRITER, "a", "--regex", "a", "--schema", "package.json"], "one of them"],
    ["a temperature that is no number", ["generate", WRITER, "a", "-t", "hot"], "number"],
    ["an item that is none", ["recommend", "examples/demos/models/sasrec-ml1m", "first"], "first is no item"],
    ["no image", ["caption", WRITER], "no image"],
  ])("%s", async (_, args, says) => {
    const { code, stdout, stderr } = await wattention(args as string[]);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/^wattention: .*\n$/);
    expect(stderr).toContain(says);
  });

  it("no command at all, with the help", async () => {
    const { code, stderr } = await wattention([]);
    expect(code).toBe(2);
    expect(stderr).toContain("Usage: wattention");
  });
});

describe("exit code 1, one line on standard error, for", () => {
  const copy = (name: string, change: (path: string) => void) => {
    cpSync(`${fixtures}/rerank`, at(name), { recursive: true });
    change(at(name));
    return at(name);
  };

  it.each([
    ["a path that is not there", () => "./nowhere", "no folder, file, URL or hub id"],
    ["a folder without a model", () => `${root}docs`, "has no"],
    [
      "weights that are cut off",
      () => copy("cut", (p) => truncateSync(join(p, "model.safetensors"), 1000)),
      "model.safetensors",
    ],
    [
      "weights that are none",
      () => copy("junk", (p) => writeFileSync(join(p, "model.safetensors"), "junk")),
      "model.safetensors",
    ],
    ["a config that is no JSON", () => copy("json", (p) => writeFileSync(join(p, "config.json"), "{")), "config.json"],
    [
      "a tokenizer of no kind",
      () => copy("tokens", (p) => writeFileSync(join(p, "tokenizer.json"), "{}")),
      "tokenizer.json",
    ],
    [
      "a model type that is not there",
      () => copy("type", (p) => writeFileSync(join(p, "config.json"), '{"model_type":"mamba"}')),
      '"mamba" is not supported',
    ],
  ])("%s", async (_, model, says) => {
    const { code, stdout, stderr } = await wattention(["embed", "a", "--model", model()]);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/^wattention: .*\n$/);
    expect(stderr).toContain(says);
  });

  it.each([
    ["rerank by an embedder", ["rerank", "q", "a", "--model", embedder], "cross-encoder"],
    ["rerank by a classifier", ["rerank", "q", "a", "--model", `${fixtures}/classify`], "1 label"],
    ["answers of an embedder", ["answer", "q", "a", "--model", embedder], "question-answering model"],
    ["a file that is not there", ["embed", "--file", "/nowhere.txt"], "/nowhere.txt: no such file"],
    ["documents that are not there", ["search", "q", "--docs", "/nowhere"], "/nowhere: no such file"],
    ["a folder without documents", ["search", "q", "--docs", "models/default-embedder/1_Pooling"], "holds no .md"],
    ["bytes for text", ["embed", "--file", "models/default-embedder/model.safetensors"], "no UTF-8"],
    ["an index that is none", ["search", "q", "--index", "models/default-embedder/model.safetensors"], "vector index"],
    ["no query", ["search", "--docs", "README.md"], "no query"],
    ["no context", ["answer", "q", " ", "--model", `${fixtures}/qa`], "no text"],
  ])("%s", async (_, args, says) => {
    const { code, stdout, stderr } = await wattention(args as string[]);
    expect([code, stdout]).toEqual([1, ""]);
    expect(stderr).toMatch(/^wattention: .*\n$/);
    expect(stderr).toContain(says);
  });

  it("JSON lines that are none, with file and line", async () => {
    writeFileSync(at("lines.jsonl"), '"one"\n{"text":"two"}\n{"txt":"three"}\n');
    const { code, stderr } = await wattention(["embed", "--jsonl", "--file", at("lines.jsonl")]);
    expect(code).toBe(1);
    expect(stderr).toContain("lines.jsonl:3 is neither");
  });

  it("a server's error, and a hub that cannot be reached", async () => {
    const server = createServer((_, response) => response.writeHead(500).end());
    await new Promise<void>((done) => server.listen(0, "127.0.0.1", done));
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    const broken = await wattention(["inspect", "--model", url]);
    expect([broken.code, broken.stdout]).toEqual([1, ""]);
    expect(broken.stderr).toBe(`wattention: ${url}/config.json: 500\n`);
    server.close();
    const away = await wattention(["inspect", "--model", "org/name"], { env: { HF_ENDPOINT: url } });
    expect(away.code).toBe(1);
    expect(away.stderr).toMatch(/^wattention: no such folder or file here, and on the hub: .*ECONNREFUSED.*\n$/);
  });

  it("the same with a stack where --verbose asks for it", async () => {
    const { code, stderr } = await wattention(["embed", "a", "--model", "./nowhere", "--verbose"]);
    expect(code).toBe(1);
    expect(stderr).toMatch(/InputError: .*\n {4}at /);
  });
});

describe("ends early", () => {
  const many = () => {
    const text = Array.from({ length: 60 }, (_, i) => `word ${i}`).join(" ");
    writeFileSync(at("many.txt"), `${text}\n`.repeat(4000));
    return at("many.txt");
  };

  it("on Ctrl-C, with exit code 130 and nothing on standard error", async () => {
    const { code, stdout, stderr } = await wattention(["embed", "--file", many()], { kill: "SIGINT" });
    expect([code, stderr]).toEqual([130, ""]);
    expect(stdout.split("\n").length).toBeLessThan(4000);
  });

  it("when its reader has read enough, without a word", async () => {
    const shell = spawn("bash", [
      "-c",
      `"$0" "$1" embed --file "$2" | head -1; exit "\${PIPESTATUS[0]}"`,
      process.execPath,
      main,
      many(),
    ]);
    let [stdout, stderr] = ["", ""];
    shell.stdout.on("data", (chunk) => {
      stdout += chunk;
    });
    shell.stderr.on("data", (chunk) => {
      stderr += chunk;
    });
    const code = await new Promise((done) => shell.on("close", done));
    expect([code, stderr]).toEqual([0, ""]);
    expect(JSON.parse(stdout)).toHaveLength(384);
  });
});
