// Checks consumers/*.ts against the package that is unpacked beside them, as strictly as a compiler can.
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { unpackPackage } from "../hosts/package.mjs";

const root = resolve(import.meta.dirname, "../..");

const bundler = { module: "ESNext", moduleResolution: "Bundler" };
const nodenext = { module: "NodeNext", moduleResolution: "NodeNext" };
const dom = { lib: ["ES2022", "DOM"], types: [] };
// A host's own types in place of the DOM's, which alone knows `Worker`.
const node = { lib: ["ES2022"], types: ["node"], without: ["worker.ts"] };
// Files of the package have no places there.
const workers = { lib: ["ES2022"], types: ["@cloudflare/workers-types"], without: ["worker.ts", "files.ts"] };

export const SETTINGS = {
  "bundler, DOM": { ...bundler, ...dom },
  "bundler, DOM, file by file": { ...bundler, ...dom, isolatedModules: true, verbatimModuleSyntax: true },
  "nodenext, DOM": { ...nodenext, ...dom },
  "bundler, Node without DOM": { ...bundler, ...node },
  "nodenext, Node without DOM": { ...nodenext, ...node },
};
/** Needs @cloudflare/workers-types, which the hosts' tools bring. */
export const WORKERS = { "bundler, Workers": { ...bundler, ...workers } };

/** A project whose dependencies are the package and types: Node's, and what more there is in the `others` by name. */
export function makeConsumers(folder = join(root, "build/consumers"), others = {}) {
  rmSync(folder, { recursive: true, force: true });
  mkdirSync(folder, { recursive: true });
  unpackPackage(folder);
  cpSync(join(import.meta.dirname, "consumers"), folder, { recursive: true });
  writeFileSync(join(folder, "package.json"), '{ "private": true, "type": "module" }\n');
  // Copies: what a link points to would be checked where it lies, with what is installed there.
  const usual = Object.fromEntries(
    ["@types/node", "undici-types"].map((name) => [name, join(root, "node_modules", name)]),
  );
  for (const [name, from] of Object.entries({ ...usual, ...others }))
    cpSync(from, join(folder, "node_modules", name), { recursive: true, dereference: true });
  return folder;
}

/** What consumers import of entries that the package does not have: nobody can check those files. */
export function lacking(folder) {
  const { exports } = JSON.parse(readFileSync(join(folder, "node_modules/wattention/package.json"), "utf8"));
  return readdirSync(folder).flatMap((file) => {
    const source = file.endsWith(".ts") ? readFileSync(join(folder, file), "utf8") : "";
    const entries = Array.from(source.matchAll(/ from "wattention(\/[\w-]+)?"/g), ([, entry = ""]) => `.${entry}`);
    return entries.filter((entry) => !exports[entry]).map((entry) => ({ file, entry }));
  });
}

/** What the compiler `ts` says. */
export function typeCheck(ts, folder, { without = [], ...settings }) {
  const json = {
    target: "ES2022",
    strict: true,
    exactOptionalPropertyTypes: true,
    noUncheckedIndexedAccess: true,
    noPropertyAccessFromIndexSignature: true,
    skipLibCheck: false,
    noEmit: true,
    resolveJsonModule: true,
    ...settings,
  };
  // The name of a file that need not be there: types are looked for beside it.
  const { options, errors } = ts.convertCompilerOptionsFromJson(json, folder, join(folder, "tsconfig.json"));
  const not = [...without, ...lacking(folder).map(({ file }) => file)];
  const files = readdirSync(folder).filter((file) => file.endsWith(".ts") && !not.includes(file));
  const program = ts.createProgram(
    files.map((file) => join(folder, file)),
    options,
  );
  const said = [...errors, ...ts.getPreEmitDiagnostics(program)];
  return said.map((d) => {
    const at = d.file && ts.getLineAndCharacterOfPosition(d.file, d.start);
    return `${d.file ? `${d.file.fileName.slice(folder.length + 1)}:${at.line + 1}: ` : ""}${ts.flattenDiagnosticMessageText(d.messageText, "\n")}`;
  });
}
