import type { Checkpoint } from "./checkpoint.ts";

/** Tensors in memory as a checkpoint, for layers that are made of them. */
export function checkpointOf(
  tensors: Readonly<Record<string, { data: ArrayLike<number>; dims: readonly number[] }>>,
): Checkpoint {
  const infos = Object.entries(tensors).map(([name, { data, dims }]) => ({
    name,
    dtype: "F32" as const,
    shape: dims,
    begin: 0,
    end: 4 * data.length,
    file: "weights",
  }));
  return {
    tensors: new Map(infos.map((info) => [info.name, info])),
    metadata: {},
    bytes: infos.reduce((n, { end }) => n + end, 0),
    async stream(sink) {
      for (const info of infos) {
        const target = sink(info);
        const { data } = tensors[info.name];
        const bytes = new Uint8Array((data instanceof Float32Array ? data : Float32Array.from(data)).slice().buffer);
        for (let at = 0; target && at < bytes.length; ) {
          const window = target.window();
          const part = bytes.subarray(at, at + window.length);
          window.set(part);
          await target.flush(part.length);
          at += part.length;
        }
      }
    },
    async close() {},
  };
}
