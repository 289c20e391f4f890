/** What Deno is asked for: nothing but to read the model. Nobody answers a prompt here (`--no-prompt`). */

import { spawnSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { describe, expect, it } from "vitest";
import { pack } from "../../src/host/node.ts";
import { tinyBert } from "../tiny.ts";

const at = (path: string) => fileURLToPath(new URL(`../../${path}`, import.meta.url));
const deno = at("tests/hosts/node_modules/deno/bin.cjs");
const entry = new URL("../../dist/host/deno.js", import.meta.url).href;

const run = (source: string, permissions: string[]) => {
  const args = [deno, "run", "--no-prompt", "--no-lock", "--quiet", "--node-modules-dir=manual", ...permissions, "-"];
  const code = `import { loadModel, pipeline } from ${JSON.stringify(entry)};\n${source}`;
  const { stdout, stderr } = spawnSync(process.execPath, args, {
    input: code,
    encoding: "utf8",
    cwd: at("."),
    env: { PATH: process.env.PATH, HOME: process.env.HOME, NO_COLOR: "1" },
    timeout: 50_000,
  });
  return stdout + stderr;
};
const embed = (model: string) =>
  `const extract = await pipeline("feature-extraction", ${model}); console.log((await extract("a cat")).dims.length);`;
const folder = JSON.stringify(at("models/default-embedder"));

describe.skipIf(!process.env.CI && !existsSync(deno))("Deno (tests/hosts/node_modules, where it is installed)", () => {
  it("runs a layer without any permission", () => {
    const layer = `import { MultiheadAttention, Tensor } from ${JSON.stringify(entry)};
      const x = new Tensor(new Float32Array(16).fill(1), [2, 8]);
      console.log((await new MultiheadAttention(8, 2).forward(x, x, x)).out.dims.join());`;
    expect(run(layer, [])).toBe("2,8\n");
  });
  it("runs a model given as bytes without any permission", async () => {
    const packed = await pack(tinyBert(), { dtype: "f32" });
    const source = `const bytes = Uint8Array.from(atob("${Buffer.from(packed).toString("base64")}"), (c) => c.charCodeAt(0));
      using model = await loadModel(bytes);
      console.log((await model.forward({ input_ids: [[3, 4, 5]] })).last_hidden_state.dims.join());`;
    expect(run(source, [])).toBe("1,3,24\n");
  });
  it("reads a folder that alone it may read, and the model that ships", () => {
    expect(run(embed(folder), [`--allow-read=${at("models/default-embedder")}`])).toBe("2\n");
    expect(run(embed("undefined"), [`--allow-read=${at("dist/shipped")}`])).toBe("2\n");
  });
  it("says which folder it may not read", () => {
    const told = `await loadModel(${folder}).catch((e) => console.log(e.name, e.message));`;
    expect(run(told, [])).toMatch(/^InputError .*default-embedder" cannot be read/);
  });
});
