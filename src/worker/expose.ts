import * as comlink from "comlink";
import { EngineError, InputError } from "../errors.ts";
import { decode, decodeAlone, encode, encodeAlone, type Parcel, type Side, token } from "./wire.ts";

/** What a page asks for. `path` leads from an object that it knows by number; 0 is the library. */
export interface Request {
  readonly id: number;
  readonly type: "get" | "apply" | "construct" | "dispose";
  readonly target: number;
  readonly path: readonly string[];
  readonly args: readonly unknown[];
}

type Back = (callback: number, args: unknown[]) => Promise<unknown>;

export interface Host {
  /** Never fails: the reply holds a value or an error. `back` runs the caller's functions by number. */
  call(request: Request, back?: Back): Promise<object>;
  abort(request: number, signal: number, reason: unknown): void;
  release(target: number): void;
}

/** An endpoint as Worker, MessagePort and a worker's own scope are one. */
export interface Port {
  postMessage(message: unknown, transfer?: never): void;
  addEventListener(type: string, listener: (event: unknown) => void): void;
  removeEventListener(type: string, listener: (event: unknown) => void): void;
}

/**
 * In a worker: lets `connect` on the other side use `library`, which is all of `import * as wattention from "wattention"` or what of it is
 * to be used. Call it before anything is awaited. In a Node worker `port` is `parentPort` of node:worker_threads.
 * @throws InputError where there is no port
 */
export function expose(library: object, port: Port = globalThis as never): void {
  if (typeof port?.postMessage !== "function")
    throw new InputError("expose runs in a worker; in one of Node, give it parentPort");
  let last = 0;
  const targets = new Map<number, unknown>([[0, library]]);
  const aborts = new Map<string, AbortController>();

  async function run({ id, type, target, path, args }: Request, back: Back | undefined): Promise<object> {
    if (!targets.has(target)) throw new EngineError("the object was disposed");
    let [parent, value] = [undefined, targets.get(target)] as [unknown, unknown];
    for (const key of path) [parent, value] = [value, (value as Record<string, unknown> | undefined)?.[key]];
    const told: Promise<unknown>[] = [];
    const parcel: Parcel = { transfer: new Set(), waits: [] };
    const side: Side = {
      moves: type !== "get", // results are the caller's; what an object holds stays its own
      send(value) {
        targets.set(++last, value);
        return token("remote", { target: last });
      },
      receive(kind, { number, aborted, reason, target }) {
        if (kind === "remote") {
          const own = targets.get(target as number);
          if (!own) throw new EngineError("the object was disposed");
          return own;
        }
        if (kind === "callback")
          return (...values: unknown[]) => {
            const answer = back!(number as number, encodeAlone(values) as unknown[]);
            answer.catch(() => {}); // it is heard below, unless the call fails first
            told.push(answer);
          };
        const controller = new AbortController();
        if (aborted) controller.abort(decodeAlone(reason));
        aborts.set(`${id} ${number}`, controller);
        return controller.signal;
      },
    };
    let result: unknown;
    if (type === "get") result = await value;
    else if (type === "dispose") {
      targets.delete(target);
      await (value as { dispose?(): unknown }).dispose?.();
    } else {
      if (typeof value !== "function") throw new InputError(`${path.join(".")} is no function`);
      const given = args.map((arg) => decode(arg, side));
      result = await (type === "apply" ? Reflect.apply(value, parent, given) : Reflect.construct(value, given));
    }
    await Promise.all(told); // progress comes before the result, and what it throws is the result
    const reply = { value: encode(result, side, parcel) };
    await Promise.all(parcel.waits);
    return comlink.transfer(reply, [...parcel.transfer]);
  }

  const host: Host = {
    async call(request, back) {
      try {
        return await run(request, back);
      } catch (error) {
        return { error: encodeAlone(error) };
      } finally {
        for (const key of aborts.keys()) if (key.startsWith(`${request.id} `)) aborts.delete(key);
        (back as Partial<comlink.ProxyMethods> | undefined)?.[comlink.releaseProxy]?.();
      }
    },
    abort: (request, number, reason) => aborts.get(`${request} ${number}`)?.abort(decodeAlone(reason)),
    release: (target) => void targets.delete(target),
  };
  comlink.expose(host, port as comlink.Endpoint);
}
