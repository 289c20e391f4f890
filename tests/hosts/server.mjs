/** The server on loopback: the repository's files, a hub, faults, what browsers run, and where they report. */
import { readFileSync, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize, resolve } from "node:path";

const root = resolve(import.meta.dirname, "../..");
const TYPES = {
  ".html": "text/html",
  ".js": "text/javascript",
  ".mjs": "text/javascript",
  ".json": "application/json",
  ".wasm": "application/wasm",
};
/** What of the repository is served. */
const PUBLIC = /^(tests\/fixtures|models|dist\/(shipped|wasm))\//;
const HEADERS = {
  "access-control-allow-origin": "*",
  "access-control-allow-headers": "*",
  "cache-control": "no-store",
};

function file(response, path) {
  const found = statSync(path, { throwIfNoEntry: false });
  if (!found?.isFile()) return response.writeHead(404, HEADERS).end();
  const type = TYPES[extname(path)] ?? "application/octet-stream";
  response.writeHead(200, { ...HEADERS, "content-type": type, "content-length": found.size });
  return response.end(readFileSync(path));
}

/** A file of the repository in pieces, so slowly that a caller has time to go away. */
function slowly(response, path) {
  const bytes = readFileSync(join(root, path));
  response.writeHead(200, { ...HEADERS, "content-type": "application/octet-stream", "content-length": bytes.length });
  let at = 0;
  const timer = setInterval(() => {
    response.write(bytes.subarray(at, at + (1 << 16)));
    at += 1 << 16;
    if (at >= bytes.length) response.end();
  }, 20);
  response.on("close", () => clearInterval(timer));
}

const body = async (request) => {
  let text = "";
  for await (const chunk of request.setEncoding("utf8")) text += chunk;
  return text;
};

/**
 * @param folder what stands below /app/, where suite and package lie
 * @param onReport gets the context's name and what it says
 */
export async function serve(folder, onReport) {
  const routes = {
    repo: (path, response) => (PUBLIC.test(path) ? file(response, join(root, path)) : file(response, "")),
    app: (path, response) => file(response, join(folder, path)),
    slow: (path, response) => (PUBLIC.test(path) ? slowly(response, path) : file(response, "")),
    hub: (path, response, request) => {
      const [, name, revision, at] = /^tests\/([\w-]+)\/resolve\/([\w-]+)\/(.*)$/.exec(path) ?? [];
      const known = name === "default-embedder" && (revision === "main" || revision === "v1");
      if (!known) return file(response, "");
      if (revision === "v1" && request.headers["authorization"] !== "Bearer token")
        return response.writeHead(401, HEADERS).end();
      return file(response, join(root, "models/default-embedder", at));
    },
    fault: (path, response) => {
      if (path.startsWith("cut")) return response.socket.destroy();
      // As servers of single-page apps do: their start page in place of every file that is not there.
      if (path.startsWith("start-page"))
        return response.writeHead(200, { ...HEADERS, "content-type": "text/html" }).end("<!doctype html>");
      return response.writeHead(Number.parseInt(path, 10), HEADERS).end("{}");
    },
    report: async (path, response, request) => {
      onReport(path, JSON.parse(await body(request)));
      response.writeHead(204, HEADERS).end();
    },
  };
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://x");
    const [, route, rest = ""] = /^\/([^/]*)\/?(.*)$/.exec(normalize(decodeURIComponent(pathname)));
    if (request.method === "OPTIONS") response.writeHead(204, HEADERS).end();
    else if (Object.hasOwn(routes, route)) routes[route](rest, response, request);
    else file(response, "");
  });
  await new Promise((done) => server.listen(0, "127.0.0.1", done));
  return {
    url: `http://127.0.0.1:${server.address().port}`,
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
