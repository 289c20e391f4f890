// An npm registry on loopback: the package as it is packed, and what it depends on as it is installed here.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { serve } from "./server.mjs";

const root = resolve(import.meta.dirname, "../../..");
const manifest = (folder) => JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));

/** The folders of all that the package needs to run, each where the lock says that it lies. */
function dependencies() {
  const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  return Object.keys(packages).filter((path) => path && !packages[path].dev && existsSync(join(root, path)));
}

/** @returns what `serve` does; its origin is the registry's URL */
export async function startRegistry({ folder, tarball, wattention }) {
  mkdirSync(join(folder, "registry"), { recursive: true });
  const packuments = new Map();
  const tarballs = new Map();
  const add = (about, file) => {
    const { name, version } = about;
    const bytes = readFileSync(file);
    const sum = (kind, coding) => createHash(kind).update(bytes).digest(coding);
    const path = `/${name}/-/${version}.tgz`;
    tarballs.set(path, file);
    const packument = packuments.get(`/${name}`) ?? { name, "dist-tags": { latest: version }, versions: {} };
    const integrity = `sha512-${sum("sha512", "base64")}`;
    packument.versions[version] = { ...about, dist: { tarball: path, integrity, shasum: sum("sha1", "hex") } };
    packuments.set(`/${name}`, packument);
  };
  add(manifest(wattention), tarball);
  for (const path of dependencies()) {
    const about = manifest(join(root, path));
    const file = join(folder, "registry", `${about.name.replace("/", "-")}-${about.version}.tgz`);
    const from = ["-C", resolve(root, path, ".."), path.slice(dirname(path).length + 1)];
    execFileSync("tar", ["-czhf", file, "--exclude=node_modules", `--transform=s,^[^/]*,package,`, ...from]);
    add(about, file);
  }
  const server = await serve(({ url }, response) => {
    const path = decodeURIComponent(url);
    if (tarballs.has(path)) response.end(readFileSync(tarballs.get(path)));
    else if (packuments.has(path)) response.end(JSON.stringify(packuments.get(path)));
    else response.writeHead(404, { "content-type": "application/json" }).end("{}");
  });
  for (const { versions } of packuments.values())
    for (const { dist } of Object.values(versions)) dist.tarball = server.origin + dist.tarball;
  return server;
}
