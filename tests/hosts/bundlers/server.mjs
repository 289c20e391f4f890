// A web server on loopback that holds its pages to the strict policy and knows what it served.

import { createReadStream, statSync } from "node:fs";
import { createServer } from "node:http";
import { extname, join, normalize } from "node:path";

export const POLICY =
  "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; connect-src 'self'; worker-src 'self'; style-src 'self'";
const TYPES = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".wasm": "application/wasm",
};

/**
 * Serves `handle(request, response)`.
 * @returns where, and `served`: the path and body of each answer, in order, until it is emptied
 */
export async function serve(handle, { server = createServer(), policy = POLICY } = {}) {
  const served = [];
  server.on("request", (request, response) => {
    response.setHeader("content-security-policy", policy);
    const chunks = [];
    for (const name of ["write", "end"]) {
      const send = response[name].bind(response);
      response[name] = (chunk, ...rest) => {
        if (chunk && typeof chunk !== "function") chunks.push(Buffer.from(chunk));
        return send(chunk, ...rest);
      };
    }
    response.on("finish", () =>
      served.push({ path: request.url, status: response.statusCode, body: Buffer.concat(chunks) }),
    );
    handle(request, response);
  });
  await new Promise((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    origin: `http://127.0.0.1:${server.address().port}`,
    served,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/** Files of `folder`; what begins with one of `extra`'s paths comes from there. */
export const files =
  (folder, extra = {}) =>
  ({ url }, response) => {
    const path = normalize(new URL(url, "http://x").pathname).replace(/\/$/, "/index.html");
    const file = extra[path] ?? join(folder, path);
    try {
      const { size } = statSync(file);
      response.writeHead(200, {
        "content-type": TYPES[extname(file)] ?? "application/octet-stream",
        "content-length": size,
      });
      createReadStream(file).pipe(response);
    } catch {
      response.writeHead(404).end();
    }
  };
