/** Where HTTP comes from on each host: Deno.serve, Bun.serve, or Node's own with Hono's adapter. */

import type { AddressInfo } from "node:net";

export interface Listening {
  readonly url: string;
  /** Takes no more connections, and resolves when the requests under way are answered. */
  close(): Promise<void>;
  /** Cuts the connections that are left. */
  cut(): void;
}

type Fetch = (request: Request) => Response | Promise<Response>;

interface Where {
  port: number;
  hostname: string;
  /** Milliseconds in which a request must have arrived. */
  timeout: number;
}

interface DenoServer {
  addr: { hostname: string; port: number };
  shutdown(): Promise<void>;
}

interface BunServer {
  hostname: string;
  port: number;
  stop(cut?: boolean): Promise<void>;
}

const hosts = globalThis as unknown as {
  Deno?: { serve(options: object, fetch: Fetch): DenoServer };
  Bun?: { serve(options: object): BunServer };
};

const urlOf = (hostname: string, port: number) =>
  `http://${hostname.includes(":") ? `[${hostname}]` : hostname}:${port}`;

async function onNode(fetch: Fetch, { port, hostname, timeout }: Where): Promise<Listening> {
  const [{ createServer }, { getRequestListener }] = await Promise.all([
    import("node:http"),
    import("@hono/node-server"),
  ]);
  const server = createServer({ requestTimeout: timeout, keepAliveTimeout: 65_000 }, getRequestListener(fetch));
  await new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(port, hostname, resolve);
  });
  const { address, port: chosen } = server.address() as AddressInfo;
  return {
    url: urlOf(address, chosen),
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeIdleConnections();
      }),
    cut: () => server.closeAllConnections(),
  };
}

export async function listen(fetch: Fetch, where: Where): Promise<Listening> {
  const { port, hostname } = where;
  const { Deno, Bun } = hosts;
  if (Deno) {
    const control = new AbortController();
    const server = Deno.serve({ port, hostname, signal: control.signal, onListen() {} }, fetch);
    return {
      url: urlOf(server.addr.hostname, server.addr.port),
      close: () => server.shutdown(),
      cut: () => control.abort(),
    };
  }
  if (Bun) {
    const server = Bun.serve({ port, hostname, fetch, idleTimeout: 255 });
    return { url: urlOf(server.hostname, server.port), close: () => server.stop(), cut: () => void server.stop(true) };
  }
  return onNode(fetch, where);
}
