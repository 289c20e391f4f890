/**
 * The records of an append-only file. Each is 12 bytes of head, its marker, the length of its body and the CRC-32 of length and body, and the body:
 * the length of some JSON, the JSON, and f32 numbers. All numbers are little-endian.
 */

import { FormatError } from "../../errors.ts";

const MARK = 0x43455257; // "WREC"
const HEAD = 12;
/** No body is longer: a head that says so is none. */
const MOST = 1 << 30;

const TABLE = Int32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? (n >>> 1) ^ 0xedb88320 : n >>> 1;
  return n;
});

/** CRC-32 (IEEE 802.3), begun or gone on with. */
export function crc32(bytes: Uint8Array, before = 0): number {
  let crc = ~before;
  for (let i = 0; i < bytes.length; i++) crc = (crc >>> 8) ^ TABLE[(crc ^ bytes[i]) & 255];
  return ~crc >>> 0;
}

export interface Content {
  readonly json: unknown;
  readonly numbers: Float32Array;
}

export interface Found extends Content {
  /** First byte, and the first behind it. */
  readonly at: number;
  readonly end: number;
}

const crcOf = (record: Uint8Array) => crc32(record.subarray(HEAD), crc32(record.subarray(4, 8)));

export function encode(json: unknown, numbers = new Float32Array(0)): Uint8Array {
  const text = new TextEncoder().encode(JSON.stringify(json));
  const record = new Uint8Array(HEAD + 4 + text.length + numbers.byteLength);
  const view = new DataView(record.buffer);
  view.setUint32(0, MARK, true);
  view.setUint32(4, record.length - HEAD, true);
  view.setUint32(HEAD, text.length, true);
  record.set(text, HEAD + 4);
  record.set(new Uint8Array(numbers.buffer, numbers.byteOffset, numbers.byteLength), HEAD + 4 + text.length);
  view.setUint32(8, crcOf(record), true);
  return record;
}

/** The record at a place, if a whole one is there. */
export function read(bytes: Uint8Array, at: number): Found | undefined {
  if (at + HEAD + 4 > bytes.length) return;
  const view = new DataView(bytes.buffer, bytes.byteOffset);
  if (view.getUint32(at, true) !== MARK) return;
  const length = view.getUint32(at + 4, true);
  const end = at + HEAD + length;
  if (length < 4 || length > MOST || end > bytes.length) return;
  if (crcOf(bytes.subarray(at, end)) !== view.getUint32(at + 8, true)) return;
  const text = at + HEAD + 4;
  const size = view.getUint32(at + HEAD, true);
  if (size > length - 4 || (length - 4 - size) % 4) return;
  const json = JSON.parse(new TextDecoder().decode(bytes.subarray(text, text + size)));
  return { at, end, json, numbers: new Float32Array(new Uint8Array(bytes.subarray(text + size, end)).buffer) };
}

/**
 * The records of a file, and where the last whole one ends. What is behind that was being written when the process or the machine stopped, and is
 * nothing that was acknowledged, unless a whole record follows it: then the file was damaged.
 * @throws FormatError that names the file and the place of the damage
 */
export function* readAll(bytes: Uint8Array, file: string): Generator<Found, number> {
  let at = 0;
  for (let found = read(bytes, at); found; found = read(bytes, at)) {
    yield found;
    at = found.end;
  }
  for (let next = at + 1; next + HEAD < bytes.length; next++) {
    next = bytes.indexOf(MARK & 255, next);
    if (next < 0) break;
    if (read(bytes, next)) throw new FormatError(file, `is damaged: whole records stand behind a broken one`, at);
  }
  return at;
}
