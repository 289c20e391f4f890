// The library as it is built; built first where it is not yet.
import { execFileSync } from "node:child_process";
import { existsSync } from "node:fs";
import { fileURLToPath } from "node:url";

const root = new URL("../../", import.meta.url);
if (!existsSync(new URL("dist/host/node.js", root))) {
  console.error("building wattention first (half a minute) …");
  execFileSync("npm", ["run", "--silent", "build"], { cwd: root, stdio: ["ignore", 2, 2] });
}

/** The folder of a model that lies beside the demos. */
export const model = (name) => fileURLToPath(new URL(`models/${name}`, import.meta.url));

export const wattention = await import(new URL("dist/host/node.js", root));
export const view = await import(new URL("dist/view/index.js", root));

const { stdout } = process;
const color = stdout.isTTY && !process.env.NO_COLOR;
export const dim = (text) => (color ? `\x1b[2m${text}\x1b[0m` : text);
export const bold = (text) => (color ? `\x1b[1m${text}\x1b[0m` : text);
/** How maps of attention are drawn. */
export const screen = { color, width: stdout.columns ?? 80 };
