// Projects as a user has them, one for each app of this folder: the package from its tarball is among their dependencies.
import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { unpackPackage } from "../package.mjs";

const FOLDER = resolve(import.meta.dirname, "../../../build/bundlers");
/** Numbers of one vector of the model that ships. */
const SIZE = 384;

export function makeProject(folder = FOLDER) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  const { wattention, tarball } = unpackPackage(folder);
  const apps = join(import.meta.dirname, "apps");
  cpSync(apps, folder, { recursive: true });
  for (const app of [".", ...readdirSync(apps)]) {
    writeFileSync(join(folder, app, "package.json"), '{ "private": true, "type": "module" }\n');
    // Links to the same files: a project of its own each, as Vite's development server wants it.
    if (app !== ".") execFileSync("cp", ["-al", join(folder, "node_modules"), join(folder, app)]);
  }
  /** What an app prints in Node. The model that ships is where Node finds it, not where a page would. */
  const inNode = (app, search = "") => {
    const source = `globalThis.location = { search: "${search}" }; await import("./${app}/index.js");`;
    return JSON.parse(execFileSync(process.execPath, ["--input-type=module", "-e", source], { cwd: folder }));
  };
  const build = (name) => {
    const [, text] = /"(.+)"/.exec(readFileSync(join(wattention, `dist/wasm/${name}.js`), "utf8"));
    return { name, text, bytes: readFileSync(join(wattention, `dist/wasm/${name}.wasm`)) };
  };
  return {
    folder,
    wattention,
    tarball,
    manifest: JSON.parse(readFileSync(join(wattention, "package.json"), "utf8")),
    /** Where sites serve it, and the file. */
    model: { "/default-embedder.safetensors": join(wattention, "dist/shipped/default-embedder.safetensors") },
    /** The module, as JavaScript holds it and as it is. */
    builds: ["relaxed", "simd"].map(build),
    /** The vectors of the texts that most apps ask for, and what the layer gives that stands alone. */
    expected: { fast: inNode("shipped"), deterministic: inNode("shipped", "?deterministic"), layer: inNode("layer") },
  };
}

export function assert(right, message) {
  if (!right) throw new Error(message);
}

const dot = (x, y) => x.reduce((sum, v, i) => sum + v * y[i], 0);

/** `numbers` are those that Node gives: near it, and where every engine is to give the same ones, equal. */
export function sameNumbers(numbers, expected, exact) {
  assert(Array.isArray(numbers), `no numbers: ${numbers}`);
  assert(numbers.length === expected.length, `${numbers.length} numbers in place of ${expected.length}`);
  // A vector at a time, each by its own length.
  for (let at = 0; at < numbers.length; at += SIZE) {
    const [a, b] = [numbers, expected].map((v) => v.slice(at, at + SIZE));
    const cosine = dot(a, b) / Math.sqrt(dot(a, a) * dot(b, b));
    assert(cosine > 0.9999, `cosine to Node's is ${cosine}`);
  }
  assert(!exact || numbers.every((v, i) => v === expected[i]), "deterministic, but not Node's numbers");
}
