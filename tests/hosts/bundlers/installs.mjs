// The package as Deno, Bun and npm install it, and its command.
import { execFile } from "node:child_process";
import { mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { delimiter, dirname, join, resolve } from "node:path";
import { version } from "./bundlers.mjs";
import { assert, sameNumbers } from "./project.mjs";
import { startRegistry } from "./registry.mjs";

const modules = join(import.meta.dirname, "../node_modules");
const TEXTS = ["a cat sleeps on the sofa", "How is memory planned?"];
/** @param model the source of an expression */
const program = (from, model, before = "") => `import { pipeline } from "${from}";
${before}
const results = [];
for (const deterministic of [false, true]) {
  const extract = await pipeline("feature-extraction", ${model}, { deterministic });
  results.push([...(await extract(${JSON.stringify(TEXTS)})).data]);
}
console.log(JSON.stringify(results));
`;

/** Runs a command without a shell and gives what it prints. @throws with all that it printed */
function output(file, args, { input, ...options }) {
  return new Promise((resolve, reject) => {
    const all = { timeout: 120_000, maxBuffer: 1 << 26, ...options };
    const child = execFile(file, args, all, (error, stdout, stderr) => {
      if (error) reject(new Error(`${file} ${args.join(" ")}\n${error.message}\n${stdout}`));
      else resolve({ stdout, stderr });
    });
    child.stdin.on("error", () => {}).end(input);
  });
}

/** @returns `cases` as run.mjs takes them, and `stop` for when they are over */
export function installs(project) {
  const model = Object.values(project.model)[0];
  const home = join(project.folder, "installs");
  let registry;

  /** An empty project that knows the registry, and what its commands run under: caches of their own. */
  async function empty(name) {
    registry ??= await startRegistry(project);
    const cwd = join(home, name);
    mkdirSync(cwd, { recursive: true });
    writeFileSync(join(cwd, ".npmrc"), `registry=${registry.origin}/\ncache=${join(cwd, "cache")}\n`);
    writeFileSync(join(cwd, "package.json"), '{ "private": true, "type": "module" }\n');
    const env = {
      ...process.env,
      DENO_DIR: join(cwd, "deno"),
      DENO_NO_UPDATE_CHECK: "1",
      BUN_INSTALL_CACHE_DIR: join(cwd, "bun"),
      // What an npm that started this says about itself would stand before the .npmrc here.
      ...Object.fromEntries(
        Object.keys(process.env)
          .filter((k) => /^npm_/i.test(k))
          .map((k) => [k, undefined]),
      ),
    };
    return { cwd, env };
  }
  const same = ({ stdout }) => {
    const [fast, deterministic] = JSON.parse(stdout);
    sameNumbers(fast, project.expected.fast);
    sameNumbers(deterministic, project.expected.deterministic, true);
    return 2;
  };
  const write = ({ cwd }, file, text) => writeFileSync(join(cwd, file), text);

  const deno = {
    name: "deno run npm:wattention",
    version: version("deno"),
    async test() {
      const at = await empty("deno");
      const bin = join(modules, "deno/deno");
      write(at, "file.ts", program("npm:wattention", `await Deno.readFile(${JSON.stringify(model)})`));
      write(
        at,
        "stdin.ts",
        program("npm:wattention", "bytes", "const bytes = await new Response(Deno.stdin.readable).bytes();"),
      );
      // A folder with a package.json would have it written there; this one has only the cache.
      rmSync(join(at.cwd, "package.json"));
      let checks = same(await output(bin, ["run", "--no-prompt", `--allow-read=${model}`, "file.ts"], at));
      checks += same(await output(bin, ["run", "--no-prompt", "stdin.ts"], { ...at, input: readFileSync(model) }));
      await output(bin, ["check", "file.ts"], at);
      return { checks: checks + 1 };
    },
  };
  const bun = {
    name: "bun install, bun run",
    version: version("bun"),
    async test() {
      const at = await empty("bun");
      const bin = join(modules, "bun/bin/bun.exe");
      await output(bin, ["add", "wattention"], at);
      write(at, "index.ts", program("wattention", "undefined"));
      return { checks: same(await output(bin, ["run", "index.ts"], at)) };
    },
  };
  const nodes = { 20: "node-v20/bin/node", 22: "node-v22/bin/node", 24: process.execPath };
  const node = Object.entries(nodes).map(([major, path]) => ({
    name: `npm install, node ${major}`,
    version: major === "24" ? process.versions.node : version(`node-v${major}`),
    async test() {
      const at = await empty(`node-${major}`);
      const bin = resolve(modules, path);
      at.env.PATH = dirname(bin) + delimiter + process.env.PATH;
      await output("npm", ["install", "wattention"], at);
      write(at, "index.mjs", program("wattention", "undefined"));
      const checks = same(await output(bin, ["index.mjs"], at));
      const { version } = project.manifest;
      const said = await output("npx", ["wattention", "--version"], at);
      assert(said.stdout.trim() === version, `npx wattention --version says ${said.stdout}`);
      const { stdout } = await output("npx", ["wattention", "embed", ...TEXTS, "--json", "--deterministic"], at);
      sameNumbers(JSON.parse(stdout).vectors.flat().map(Math.fround), project.expected.deterministic, true);
      return { checks: checks + 2 };
    },
  }));
  return { cases: [deno, bun, ...node], stop: () => registry?.close() };
}
