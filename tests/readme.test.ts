import { execFile } from "node:child_process";
import { mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { afterAll, describe, expect, it } from "vitest";

const root = fileURLToPath(new URL("..", import.meta.url));
// Inside the package, so that `import "wattention"` finds it by its own exports.
const folder = `${root}build/readme`;
mkdirSync(folder, { recursive: true });
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const files = [
  "README.md",
  ...readdirSync(`${root}docs`)
    .filter((f) => f.endsWith(".md"))
    .map((f) => `docs/${f}`),
].filter((f) => /^```js$/m.test(readFileSync(root + f, "utf8")));

describe.each(files)("%s", (file) => {
  const blocks = [...readFileSync(root + file, "utf8").matchAll(/^```js\n(.*?)^```/gms)].map((m) => m[1]);
  it.runIf(blocks.length).each(blocks.map((code, i) => ({ code, i })))(
    "example $i runs and prints what it says",
    async ({ code, i }) => {
      const path = `${folder}/${file.replace(/\W/g, "-")}-${i}.mjs`;
      writeFileSync(path, code);
      const { stdout } = await promisify(execFile)(process.execPath, [path], { cwd: root });
      // console.log(…); // what it prints, where the comment begins like a value
      const said = [...code.matchAll(/console\.log\(.*\);? \/\/ (\[.*|\d.*|true.*)$/gm)].map((m) => m[1]);
      for (const line of said) if (!/[a-z]{4}/.test(line)) expect(stdout).toContain(line);
    },
  );
});
