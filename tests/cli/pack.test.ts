import { readFileSync, statSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loadModel, pack } from "../../src/host/node.ts";
import { fixtures, folder, root, wattention } from "./run.ts";

const at = folder();
const embedder = `${root}tests/fixtures/embedders/bert-cls-dense`;

describe("pack", () => {
  it("writes what the library makes, says how large, and writes over nothing unless told to", async () => {
    const file = at("model.safetensors");
    const { code, stdout, stderr } = await wattention(["pack", embedder, "-o", file]);
    expect([code, stderr]).toEqual([0, ""]);
    expect(stdout).toMatch(/model\.safetensors: [\d.]+ MB, of weights of [\d.]+ MB\n$/);
    expect(Buffer.compare(readFileSync(file), await pack(embedder))).toBe(0);

    const again = await wattention(["pack", "--model", embedder, "--dtype", "q4", "-o", file]);
    expect([again.code, again.stdout]).toEqual([2, ""]);
    expect(again.stderr).toContain("--force");
    expect(Buffer.compare(readFileSync(file), await pack(embedder))).toBe(0);

    const forced = await wattention(["pack", embedder, "--dtype", "q4", "-o", file, "--force", "--json"]);
    const { size } = statSync(file);
    const weights =
      statSync(`${embedder}/model.safetensors`).size + statSync(`${embedder}/2_Dense/model.safetensors`).size;
    const report = JSON.parse(forced.stdout);
    expect(report).toEqual({ output: file, dtype: "q4", weights: expect.any(Number), bytes: size });
    expect(weights - report.weights).toBeLessThan(20_000); // their headers
    expect(Buffer.compare(readFileSync(file), await pack(embedder, { dtype: "q4" }))).toBe(0);
  });

  it("makes files that every command takes", async () => {
    const run = async (...args: string[]) => {
      const { code, stdout, stderr } = await wattention(args);
      expect([code, stderr], args.join(" ")).toEqual([0, ""]);
      return stdout;
    };
    const file = at("embedder.safetensors");
    await run("pack", embedder, "--dtype", "q8-exact", "-o", file);
    for (const args of [
      ["embed", "a cat", "a dog"],
      ["embed", "a cat", "--pooling", "mean", "--format", "json"],
      ["attention", "a cat", "--json"],
    ])
      expect(await run(...args, "--model", file)).toBe(await run(...args, "--model", embedder, "--dtype", "q8-exact"));
    writeFileSync(at("docs.txt"), "rain again\nthe sun\n");
    const search = ["search", "weather", "--docs", at("docs.txt"), "--json"];
    expect(await run(...search, "--model", file)).toBe(await run(...search, "-m", embedder, "--dtype", "q8-exact"));
    await run("bench", "--model", file, "--seconds", "1", "--length", "8", "--json");
    const cross = at("cross.safetensors");
    await run("pack", `${fixtures}/rerank`, "-o", cross);
    const rerank = ["rerank", "rain", "it rains", "the sun", "--json"];
    expect(await run(...rerank, "-m", cross)).toBe(await run(...rerank, "-m", `${fixtures}/rerank`, "--dtype", "q8"));
    const answers = at("answers.safetensors");
    await run("pack", `${fixtures}/qa`, "-o", answers);
    const answer = ["answer", "Who?", "Anna lives in Berlin.", "--json"];
    expect(await run(...answer, "-m", answers)).toBe(await run(...answer, "-m", `${fixtures}/qa`, "--dtype", "q8"));
  });

  it("makes files that inspect can tell about", async () => {
    const file = at("inspected.safetensors");
    await wattention(["pack", embedder, "-o", file]);
    const inspect = async (...args: string[]) => JSON.parse((await wattention(["inspect", ...args, "--json"])).stdout);
    const [packed, plain] = [await inspect(file), await inspect(embedder, "--dtype", "q8")];
    const { model, bytes, plan, tensors, ...rest } = plain;
    expect(packed).toMatchObject(rest);
    expect(packed.bytes).toBeLessThan(statSync(file).size);
    expect(packed.tensors.map(({ name }: { name: string }) => name)).toContain("2_Dense/linear.weight");
    // It needs no window to load through; what lies there is the same.
    expect(packed.plan).toEqual({ ...plan, total: packed.plan.total });
    expect(packed.plan.total).toBeLessThanOrEqual(plan.total);
    const loaded = await loadModel(file);
    expect(loaded.plan({ length: 128 }).total).toBeLessThanOrEqual(packed.plan.total);
    loaded.dispose();
    const { stdout } = await wattention(["inspect", file]);
    expect(stdout).toContain("packed     as q8");
  });
});

describe("exit code 2, one line on standard error, for", () => {
  it.each([
    ["a pack to nowhere", ["pack"], "--output"],
    ["a pack by a name that loads as nothing", ["pack", "-o", at("x.bin")], ".safetensors"],
    ["a pack of two models", ["pack", "a", "--model", "b", "-o", at("x.safetensors")], "one of them"],
    ["a pack as what is not", ["pack", embedder, "-o", at("x.safetensors"), "--dtype", "q5"], '"q4"'],
    ["weights kept as what is not", ["embed", "a", "-m", embedder, "--dtype", "int8"], '"q8-exact"'],
    ["the same of inspect", ["inspect", embedder, "--dtype", "int8"], '"q8-exact"'],
  ])("%s", async (_, args, says) => {
    const { code, stdout, stderr } = await wattention(args as string[]);
    expect([code, stdout]).toEqual([2, ""]);
    expect(stderr).toMatch(/^wattention: .*\n$/);
    expect(stderr).toContain(says);
  });
});

it("a packed file in another dtype than asked for, or packed again: one line that says so", async () => {
  const file = at("q8.safetensors");
  await wattention(["pack", embedder, "-o", file]);
  for (const [args, says] of [
    [["embed", "a", "-m", file, "--dtype", "q4"], 'supported: "q8"'],
    [["inspect", file, "--dtype", "q4"], 'supported: "q8"'],
    [["pack", file, "-o", at("y.safetensors")], "packed already"],
  ] as const) {
    const { code, stderr } = await wattention(args);
    expect(code).toBeGreaterThan(0);
    expect(stderr).toMatch(/^wattention: .*\n$/);
    expect(stderr).toContain(says);
  }
});
