import { readFileSync } from "node:fs";

/** The files of families ("models") or tasks, as their list imports them: entries of their own. */
export function late(folder) {
  const list = readFileSync(`src/${folder}/registry.ts`, "utf8");
  const found = list.matchAll(/\bimport\("\.\/(\w+)\.ts"\)/g);
  return [...new Set(Array.from(found, ([, name]) => `${folder}/${name}`))];
}
