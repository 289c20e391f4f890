/** Values as messages carry them: what structured cloning loses (classes, errors' data, signals, functions) has a tag. */

import * as errors from "../errors.ts";
import { Tensor } from "../tensor.ts";

const TAG = "\0wattention";
/** Stands in a message for a thing of some `kind`. */
export const token = (kind: string, content: object) => ({ [TAG]: kind, ...content });

/** What a thread does with values that stay on one side. */
export interface Side {
  /** Something with behaviour: gives what stands for it in a message. @throws InputError if this side sends no such thing */
  send(value: object, name: string): object;
  /** The other way round. */
  receive(kind: string, content: Record<string, unknown>): unknown;
  /** Whether arrays may be moved: they belong to nobody here. */
  readonly moves: boolean;
}

/** A message's content on its way: `transfer` is what moves with it, `waits` what must be there before it can go. */
export interface Parcel {
  readonly transfer: Set<Transferable>;
  readonly waits: Promise<void>[];
}

/** What the engine calls an object: classes of several copies of this library, and of other realms, are one. */
export const kindOf = (value: unknown): string => Object.prototype.toString.call(value).slice(8, -1);

const isPlain = (value: object): boolean => {
  const proto = Object.getPrototypeOf(value);
  return proto === null || Object.getPrototypeOf(proto) === null;
};

/** Kinds that structured cloning carries as they are. */
const CLONED = /^(ArrayBuffer|SharedArrayBuffer|Date|Map|Set|RegExp|Blob|File|WebAssembly\.Module|ReadableStream)$/;

export function encode(value: unknown, side: Side, parcel: Parcel, name = ""): unknown {
  if (typeof value === "function") return side.send(value, name);
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((v, i) => encode(v, side, parcel, `${name}[${i}]`));
  if (ArrayBuffer.isView(value)) return array(value, side, parcel);
  if (value instanceof Error || kindOf(value) === "DOMException") return encodeError(value as Error, side, parcel);
  const { data, dims, tolist } = value as Partial<Tensor>;
  if (ArrayBuffer.isView(data) && Array.isArray(dims) && tolist)
    return token("tensor", { data: array(data, side, parcel), dims: [...dims] });
  const kind = kindOf(value);
  if (kind === "URL") return String(value);
  if (kind === "Headers") return [...(value as Headers)];
  if (kind === "ReadableStream") parcel.transfer.add(value as ReadableStream);
  if (CLONED.test(kind)) return value;
  if (kind === "Promise" || kind === "Response") return awaited(value, side, parcel, name);
  if (!isPlain(value)) return side.send(value, name);
  return Object.fromEntries(Object.entries(value).map(([key, v]) => [key, encode(v, side, parcel, key)]));
}

/** Cloning a part of a buffer would carry all of it. */
function array(value: ArrayBufferView, { moves }: Side, { transfer }: Parcel): ArrayBufferView {
  const { buffer, byteLength } = value;
  const part = byteLength < buffer.byteLength;
  const own = part ? (value as Uint8Array).slice() : value;
  if ((part || moves) && own.buffer instanceof ArrayBuffer) transfer.add(own.buffer);
  return own;
}

/** A place that is filled before the message goes. */
function awaited(value: object, side: Side, parcel: Parcel, name: string): object {
  const place: { value?: unknown } = {};
  const fill = async () => {
    const v = await (value as Promise<unknown>);
    if (kindOf(v) !== "Response") place.value = encode(v, side, parcel, name);
    else {
      const response = v as Response;
      if (!response.ok) throw new errors.FetchError(response.url, response.status);
      place.value = await response.arrayBuffer();
    }
  };
  parcel.waits.push(fill());
  return token("later", { place });
}

export function decode(value: unknown, side: Side): unknown {
  if (typeof value !== "object" || value === null) return value;
  if (Array.isArray(value)) return value.map((v) => decode(v, side));
  if (ArrayBuffer.isView(value) || CLONED.test(kindOf(value))) return value;
  const content = value as Record<string, unknown>;
  const kind = content[TAG];
  if (kind === "later") return decode((content.place as { value: unknown }).value, side);
  if (kind === "tensor") return new Tensor(content.data as Float32Array, content.dims as number[]);
  if (kind === "error") return decodeError(content, side);
  if (typeof kind === "string") return side.receive(kind, content);
  return Object.fromEntries(Object.entries(content).map(([key, v]) => [key, decode(v, side)]));
}

function encodeError(error: Error, side: Side, parcel: Parcel): object {
  // Data that cannot go, as a cause of another library may hold, is told in words.
  const told = (v: unknown) => {
    try {
      return encode(v, side, parcel);
    } catch {
      return String(v);
    }
  };
  const own = Object.entries(error).filter(([key]) => key !== "name" && key !== "cause");
  const data = Object.fromEntries(own.map(([key, v]) => [key, told(v)]));
  const { name, message, stack } = error;
  const cause = "cause" in error && { cause: told(error.cause) };
  return token("error", { name, message, stack, data, ...cause });
}

/** By name, which no minifier changes. */
const classes: Partial<Record<string, { prototype: Error }>> = {
  ...errors,
  TypeError,
  RangeError,
  SyntaxError,
};

function decodeError(sent: Record<string, unknown>, side: Side): Error {
  const { name, message, stack } = sent as unknown as Error;
  const error = new Error(message, "cause" in sent ? { cause: decode(sent.cause, side) } : undefined);
  const made = classes[name];
  if (made) Object.setPrototypeOf(error, made.prototype);
  const own = made && !(made.prototype instanceof errors.WattentionError || made === errors.WattentionError);
  return Object.assign(error, own ? {} : { name }, { stack }, decode(sent.data, side));
}

/** A side that sends data alone: what has behaviour is told in a word. */
const ALONE: Side = {
  moves: false,
  send: (value) => token("text", { text: kindOf(value) }),
  receive: (_, { text }) => text,
};

/** An error, or the reason of an abort. */
export const encodeAlone = (value: unknown): unknown => encode(value, ALONE, { transfer: new Set(), waits: [] });
export const decodeAlone = (value: unknown): unknown => decode(value, ALONE);
