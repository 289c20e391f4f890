import { cpSync, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { describe, expect, it } from "vitest";
import { supportedModels } from "../../src/models/registry.ts";
import { compare } from "./compare.ts";
import { UNKNOWABLE } from "./unknowable.mjs";

/** What transformers computes in f32 is itself within 2e-5 of f64 in these cases. */
const LIMIT = 2e-4;

function cases(folder: URL): string[] {
  const type = (name: string) => JSON.parse(readFileSync(new URL(`${name}/config.json`, folder), "utf8")).model_type;
  return existsSync(folder) ? readdirSync(folder).filter((name) => supportedModels().includes(type(name))) : [];
}

const ours = new URL("../fixtures/models/", import.meta.url);
describe("models of every family give what transformers gives (tests/oracle/families.py, decoders.py)", () => {
  it("every family has a case", () => {
    const types = cases(ours).map(
      (name) => JSON.parse(readFileSync(new URL(`${name}/config.json`, ours), "utf8")).model_type,
    );
    expect([...new Set(types)].sort()).toEqual(supportedModels());
  });
  it.each(cases(ours))("%s", async (name) => {
    const { worst, where, compared } = await compare(new URL(`${name}/`, ours));
    expect(compared).toBeGreaterThan(0);
    expect(worst, where).toBeLessThan(LIMIT);
  });
});

it("the comparison sees another epsilon, activation or window", async () => {
  for (const [name, change] of [
    ["bert", { layer_norm_eps: 1e-2 }],
    ["roberta", { hidden_act: "gelu_new" }],
    ["modernbert", { local_attention: 2 }],
    ["deberta-v2-conv", { conv_act: "relu" }],
  ] as const) {
    const folder = mkdtempSync(join(tmpdir(), "wattention-"));
    cpSync(new URL(name, ours), folder, { recursive: true });
    const file = join(folder, "config.json");
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), ...change }));
    const { worst } = await compare(pathToFileURL(`${folder}/`));
    rmSync(folder, { recursive: true });
    expect(worst, name).toBeGreaterThan(LIMIT);
  }
});

const shared = new URL("../../../shared/conformance/models/", import.meta.url);
describe.skipIf(!existsSync(shared))("the conformance cases (skipped where ../shared is not there)", () => {
  it.each(cases(shared).filter((name) => !UNKNOWABLE.includes(name)))("%s", async (name) => {
    const { worst, where, compared } = await compare(new URL(`${name}/`, shared));
    expect(compared).toBeGreaterThan(0);
    expect(worst, where).toBeLessThan(LIMIT);
  });
});
