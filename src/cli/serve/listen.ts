/** Where HTTP comes from on each host: Deno.serve, Bun.serve, or Node's own with Hono's adapter. */

import type { AddressInfo } from "node:net";
import { setImmediate, setTimeout } from "node:timers/promises";

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

/** Enough turns of the event loop that connections are taken, and what came on them is read. */
async function turns(): Promise<void> {
  await setTimeout(20);
  await setImmediate();
  await setImmediate();
}

async function onNode(fetch: Fetch, { port, hostname, timeout }: Where): Promise<Listening> {
  const [{ createServer }, { Server }, { getRequestListener }] = await Promise.all([
    import("node:http"),
    import("node:net"),
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
    async close() {
      await turns(); // whoever has a connection that was not taken yet gets an answer too
      let open = true;
      // Not http's own close: it cuts connections that look idle, on which a request may have come that nobody has read yet.
      Server.prototype.close.call(server, () => {
        open = false;
      });
      while (open) {
        await turns();
        server.closeIdleConnections();
      }
    },
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
