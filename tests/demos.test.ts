import { execFile } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { expect, test } from "vitest";
import { loadModel, pipeline } from "../src/host/node.ts";

/** The demos as a person runs them (examples/demos): on the built library. */
const root = fileURLToPath(new URL("..", import.meta.url));
const run = (name: string, ...args: string[]) =>
  promisify(execFile)(process.execPath, [`examples/demos/${name}.mjs`, ...args], {
    cwd: root,
    env: { ...process.env, NO_COLOR: "1" },
  });
const model = (name: string) => `${root}examples/demos/models/${name}`;

test("a story continues itself, and keeps to a pattern", async () => {
  const { stdout } = await run("story", "The little dog", "7");
  using generate = await pipeline("text-generation", model("stories260K"));
  const options = { max_new_tokens: 220, temperature: 0.8, top_p: 0.95, seed: 7 };
  const [{ generated_text }] = await generate("The little dog", options);
  expect(stdout.startsWith(generated_text)).toBe(true);
  expect(stdout).toMatch(/\nOne day there was a (little|big) (cat|dog|frog) named [A-Z][a-z]{2,7}\.\n$/);
});

test("spelling becomes phonemes, with a map of what each looked at", async () => {
  const { stdout } = await run("phonemes", "thought", "phoneme");
  expect(stdout).toContain("thought  /θˈɔt/");
  expect(stdout).toContain("phoneme  /fˈOnˌim/");
  expect(stdout).toMatch(/ θ [ ░▒▓█]+\n/);
  await expect(run("phonemes", "été")).rejects.toMatchObject({
    code: 1,
    stderr: expect.stringContaining('no letter "é"'),
  });
});

test("next items come with each event", async () => {
  const { stdout } = await run("next-item", "1533", "2954");
  const shown = [...stdout.matchAll(/^saw +(\d+) {2}next: (.*) \S+ ms$/gm)];
  expect(shown.map((m) => m[1])).toEqual(["1533", "2954"]);
  using recommend = await pipeline("recommendation", model("sasrec-ml1m"));
  const best = await recommend([1533, 2954], { top_k: 5, exclude_seen: true });
  const items = [...shown[1][2].matchAll(/(\d+) -?\d+\.\d+/g)].map((m) => Number(m[1]));
  expect(items).toEqual(best.map(({ item }) => item));
});

const reference = `${root}../shared/models/bart-g2p-us/reference.json`;
test.skipIf(!existsSync(reference))("half as large, the speller says what it said (where ../shared is)", async () => {
  const { rows } = JSON.parse(readFileSync(reference, "utf8")) as { rows: { input_ids: number[]; greedy: number[] }[] };
  using speak = await loadModel(model("bart-g2p-us"));
  let same = 0;
  for (let i = 0; i < rows.length; i += 40) {
    const part = rows.slice(i, i + 40);
    const all = await speak.generate({ input_ids: part.map((r) => r.input_ids) }, { max_new_tokens: 60 });
    all.forEach((ids, j) => {
      same += Number(`${ids}` === `${part[j].greedy}`);
    });
  }
  expect(same).toBeGreaterThanOrEqual(rows.length - 1);
});
