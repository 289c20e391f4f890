// The app built, and a server for it that can be stopped, slowed and given another build.
import { execFileSync } from "node:child_process";
import { existsSync, readFileSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize, resolve } from "node:path";
import { HEADERS } from "../../../examples/offline-app/headers.ts";

const root = resolve(import.meta.dirname, "../../..");
export const APP = join(root, "examples/offline-app");

/** Builds the app as a version of that name; gives the folder. */
export function build(version, folder = join(root, "build/hosts/offline-app", version)) {
  const options = { cwd: APP, stdio: ["ignore", "ignore", "inherit"] };
  if (!existsSync(join(APP, "node_modules/vite")))
    execFileSync("npm", ["ci", "--strict-allow-scripts", "--no-audit", "--no-fund"], options);
  const vite = [join(APP, "node_modules/vite/bin/vite.js"), "build", "--logLevel", "warn", "--emptyOutDir"];
  const env = { ...process.env, APP_VERSION: version, NODE_ENV: "production" };
  execFileSync(process.execPath, [...vite, "--outDir", folder], { ...options, env });
  return folder;
}

const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".svg": "image/svg+xml",
  ".png": "image/png",
  ".md": "text/markdown; charset=utf-8",
  ".webmanifest": "application/manifest+json",
  ".safetensors": "application/octet-stream",
};

/** A server of one origin, whatever it serves: `start` may follow `stop`. */
export class Site {
  /** Paths asked for. */
  requests = [];
  /** Reports of the policy, from page and workers alike. */
  reports = [];
  /** Milliseconds between parts of the model. */
  slow = 0;
  /** Gives the bytes in place of a file's: a server that is being updated while it is read. */
  alter = (_path, bytes) => bytes;
  #server;
  #port = 0;

  constructor(folder) {
    this.folder = folder;
  }

  get url() {
    return `http://127.0.0.1:${this.#port}/`;
  }

  async start() {
    this.#server = createServer((request, response) => {
      this.#answer(request, response).catch((error) => response.destroy(error));
    });
    await new Promise((listening) => this.#server.listen(this.#port, "127.0.0.1", listening));
    this.#port = this.#server.address().port;
    return this;
  }

  async stop() {
    if (!this.#server) return;
    const closed = new Promise((done) => this.#server.close(done));
    this.#server.closeAllConnections();
    this.#server = undefined;
    await closed;
  }

  async #answer(request, response) {
    const path = normalize(new URL(request.url, this.url).pathname);
    if (path === "/policy-report") {
      let body = "";
      for await (const part of request) body += part;
      this.reports.push(body);
      response.writeHead(204).end();
      return;
    }
    this.requests.push(path);
    const file = join(this.folder, path === "/" ? "index.html" : path);
    if (!existsSync(file)) {
      response.writeHead(404).end();
      return;
    }
    const bytes = this.alter(path, readFileSync(file));
    response.writeHead(200, {
      ...HEADERS,
      "content-security-policy": `${HEADERS["content-security-policy"]}; report-uri /policy-report`,
      "content-type": TYPES[extname(file)] ?? "application/octet-stream",
      "content-length": bytes.length,
    });
    if (!this.slow || extname(file) !== ".safetensors") {
      response.end(bytes);
      return;
    }
    for (let at = 0; at < bytes.length && !response.destroyed; at += 1 << 18) {
      response.write(bytes.subarray(at, at + (1 << 18)));
      await new Promise((next) => setTimeout(next, this.slow));
    }
    response.end();
  }
}
