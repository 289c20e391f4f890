import { readdirSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { expect, it } from "vitest";
import { pipeline, type Tensor } from "../../src/host/node.ts";

const fixtures = fileURLToPath(new URL("../fixtures/embedders/", import.meta.url));

/** sentence-transformers' own vectors: see tests/oracle/embedders.py. */
function expected(dir: string) {
  const bytes = readFileSync(`${dir}/expected.safetensors`);
  const size = Number(bytes.readBigUInt64LE(0));
  const header = JSON.parse(bytes.subarray(8, 8 + size).toString()) as Record<
    string,
    { shape: number[]; data_offsets: [number, number] }
  >;
  return Object.entries(header).flatMap(([name, t]) => {
    if (name === "__metadata__") return [];
    const [from, to] = t.data_offsets.map((at) => 8 + size + at);
    return [{ name, dims: t.shape, data: new Float32Array(Uint8Array.from(bytes.subarray(from, to)).buffer) }];
  });
}

it.each(readdirSync(fixtures))("%s equals sentence-transformers", async (name) => {
  const dir = fixtures + name;
  const { texts } = JSON.parse(readFileSync(`${dir}/reference.json`, "utf8")) as { texts: string[] };
  const extract = await pipeline("feature-extraction", dir);
  for (const want of expected(dir)) {
    const [kind, which] = want.name.split(".");
    let got: Tensor;
    if (kind === "tokens") got = (await extract(texts[+which], { pooling: "none", prompt: "" })).row(0);
    else if (!which) got = await extract(texts);
    else got = await extract(texts, which === "plain" ? { prompt: "" } : { prompt_name: which });
    expect(got.dims, want.name).toEqual(want.dims);
    const most = want.data.reduce((m, x) => Math.max(m, Math.abs(x)), 1);
    const worst = want.data.reduce((m, x, i) => Math.max(m, Math.abs(x - got.data[i])), 0);
    expect(worst / most, want.name).toBeLessThan(1e-5);
  }
  extract.dispose();
});
