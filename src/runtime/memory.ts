import { MemoryLimitError, UnsupportedOptionError } from "../errors.ts";

const PAGE = 65536;
/** Readable bytes behind the last buffer: kernels may load whole vectors past a row's end. */
const GUARD = 256;

/** The linear memory of one engine: the only code that touches a WebAssembly.Memory's buffer. Addresses and lengths are in bytes. */
export class Memory {
  readonly limit: number;
  readonly memory: WebAssembly.Memory;

  /** `limit`: bytes that the memory may grow to, 4 GiB at most. @throws UnsupportedOptionError if it is no such number */
  constructor(limit = 65536 * PAGE) {
    if (!(typeof limit === "number" && limit >= PAGE && limit <= 65536 * PAGE))
      throw new UnsupportedOptionError("memory_limit", limit, [`bytes from ${PAGE} to ${65536 * PAGE}`]);
    this.limit = Math.floor(limit / PAGE) * PAGE;
    this.memory = new WebAssembly.Memory({ initial: 1, maximum: this.limit / PAGE });
  }

  /** Whole pages that hold `bytes` and the guard behind them. */
  static pages(bytes: number): number {
    return Math.ceil((bytes + GUARD) / PAGE) * PAGE;
  }

  get bytes(): number {
    return this.memory.buffer.byteLength;
  }

  /** Grows to hold `bytes`. @throws MemoryLimitError with both numbers. */
  ensure(bytes: number): void {
    const needed = Memory.pages(bytes);
    if (needed <= this.bytes) return;
    if (needed > this.limit) throw new MemoryLimitError(needed, this.limit);
    try {
      this.memory.grow((needed - this.bytes) / PAGE);
    } catch {
      throw new MemoryLimitError(needed, this.bytes); // the host has no more
    }
  }

  /** A view that is good until the memory grows. */
  u8(at: number, length: number): Uint8Array {
    return new Uint8Array(this.memory.buffer, at, length);
  }

  f32(at: number, length: number): Float32Array {
    return new Float32Array(this.memory.buffer, at, length);
  }

  i32(at: number, length: number): Int32Array {
    return new Int32Array(this.memory.buffer, at, length);
  }

  /** Copies numbers in, `cols` a row, rows `ld` apart; the floats between become zero. */
  write(at: number, data: Float32Array | Int32Array, cols = data.length, ld = cols): void {
    const into =
      data instanceof Float32Array ? this.f32(at, (data.length / (cols || 1)) * ld) : this.i32(at, data.length);
    if (ld !== cols) into.fill(0);
    if (ld === cols) into.set(data);
    else for (let r = 0; r * cols < data.length; r++) into.set(data.subarray(r * cols, (r + 1) * cols), r * ld);
  }

  /** Copies bytes from one place to another. */
  copy(to: number, from: number, bytes: number): void {
    new Uint8Array(this.memory.buffer).copyWithin(to, from, from + bytes);
  }

  /** Copies `rows` rows of f32 out, without what lies between them. */
  read(at: number, rows: number, cols: number, ld: number): Float32Array {
    if (ld === cols) return this.f32(at, rows * cols).slice();
    const out = new Float32Array(rows * cols);
    const from = this.f32(at, rows * ld);
    for (let r = 0; r < rows; r++) out.set(from.subarray(r * ld, r * ld + cols), r * cols);
    return out;
  }
}
