import { FormatError } from "../host/node.ts";

/** The samples of a RIFF WAVE file of whole numbers (8 to 32 bits) or floats, its channels averaged. @throws FormatError */
export function readWav(bytes: Uint8Array, file: string): { raw: Float32Array; sampling_rate: number } {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const name = (at: number) => String.fromCharCode(...bytes.subarray(at, at + 4));
  const fail = (what: string, at?: number): never => {
    throw new FormatError(file, what, at);
  };
  if (bytes.length < 12 || name(0) !== "RIFF" || name(8) !== "WAVE") return fail("is no WAV file");
  let format: { kind: number; channels: number; rate: number; bits: number } | undefined;
  for (let at = 12; at + 8 <= bytes.length; ) {
    const size = view.getUint32(at + 4, true);
    const start = at + 8;
    if (name(at) === "fmt " && size >= 16 && start + size <= bytes.length) {
      const kind = view.getUint16(start, true);
      format = {
        kind: kind === 0xfffe && size >= 26 ? view.getUint16(start + 24, true) : kind, // extensible: in its GUID
        channels: view.getUint16(start + 2, true),
        rate: view.getUint32(start + 4, true),
        bits: view.getUint16(start + 14, true),
      };
    } else if (name(at) === "data") {
      if (!format) return fail("has samples before their format", at);
      const { kind, channels, rate, bits } = format;
      const width = bits / 8;
      const good = kind === 3 ? bits === 32 || bits === 64 : kind === 1 && [8, 16, 24, 32].includes(bits);
      if (!good || !channels || !rate) return fail(`has samples of ${bits} bits in format ${kind}`, at);
      // What was written as a stream has no true size.
      const count = Math.floor(Math.min(size, bytes.length - start) / (width * channels));
      const sample = (i: number): number => {
        const from = start + i * width;
        if (kind === 3) return bits === 32 ? view.getFloat32(from, true) : view.getFloat64(from, true);
        if (bits === 8) return (bytes[from] - 128) / 128;
        if (bits === 16) return view.getInt16(from, true) / 32768;
        if (bits === 24) return ((bytes[from + 2] << 24) | (bytes[from + 1] << 16) | (bytes[from] << 8)) / 2147483648;
        return view.getInt32(from, true) / 2147483648;
      };
      const raw = Float32Array.from({ length: count }, (_, i) => {
        let sum = 0;
        for (let c = 0; c < channels; c++) sum += sample(i * channels + c);
        return sum / channels;
      });
      return { raw, sampling_rate: rate };
    }
    at = start + size + (size & 1);
  }
  return fail("has no samples");
}
