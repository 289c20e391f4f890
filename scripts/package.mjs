// The package before anybody installs it: publint and are-the-types-wrong over the tarball, then the sizes that package.json limits.
import { execFileSync, spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { publint } from "publint";
import { formatMessage } from "publint/utils";

// After `npm start` or `npm test` all is built; by itself this builds what is not there at all.
if (!existsSync("dist/shipped")) execFileSync("npm", ["run", "--silent", "build"], { stdio: "inherit" });

const manifest = JSON.parse(readFileSync("package.json", "utf8"));
const folder = "build/package";
mkdirSync(folder, { recursive: true });
const pack = ["pack", "--json", "--ignore-scripts", "--loglevel=error", "--pack-destination", folder];
const [{ filename, size, unpackedSize, entryCount }] = JSON.parse(execFileSync("npm", pack, { encoding: "utf8" }));
const tarball = `${folder}/${filename}`;
console.log(`package: ${entryCount} files, ${size} B packed, ${unpackedSize} B unpacked`);

const { buffer } = Uint8Array.from(readFileSync(tarball));
const { messages, pkg } = await publint({ pack: { tarball: buffer }, strict: true });
for (const message of messages) console.error(`publint: ${message.type}: ${formatMessage(message, pkg)}`);
// A suggestion is a failure too: each is either right, or shows that something here is hard to read.
console.log(`publint: ${messages.length} messages`);

const check = (command, ...args) => {
  const { status, stdout, stderr } = spawnSync(`node_modules/.bin/${command}`, args, { encoding: "utf8" });
  console[status ? "error" : "log"](status ? `${command}:\n${stdout}${stderr}` : `${command}: fine`);
  return status === 0;
};
/** Entries that are no code; attw does not know what their types say of them. */
const raw = Object.keys(manifest.exports).filter((name) => name.startsWith("./wasm/"));
const typed = check("attw", tarball, "--profile", "esm-only", "--exclude-entrypoints", ...raw.map((n) => n.slice(2)));
const small = check("size-limit");
process.exitCode = messages.length === 0 && typed && small ? 0 : 1;
