// Leaves only those declarations in dist that a user's compiler can come to from package.json: half of them are of what nobody can import.
import { readdirSync, readFileSync, rmSync } from "node:fs";
import { resolve } from "node:path";
import ts from "typescript";
import { late } from "./late.mjs";

const { exports } = JSON.parse(readFileSync("package.json", "utf8"));
const entries = Object.values(exports).flatMap(({ types }) => {
  const folder = /^\.\/dist\/(\w+)\/\*/.exec(types ?? "")?.[1];
  return folder ? late(folder).map((name) => `./dist/${name}.d.ts`) : (types ?? []);
});
const { NodeNext } = ts.ModuleKind;
const program = ts.createProgram(entries, { module: NodeNext, noLib: true, types: [] });
const reached = new Set(program.getSourceFiles().map(({ fileName }) => resolve(fileName)));
for (const name of readdirSync("dist", { recursive: true })) {
  const path = resolve("dist", name);
  if (path.endsWith(".d.ts") && !reached.has(path)) rmSync(path);
}
