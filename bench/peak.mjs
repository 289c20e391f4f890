import asc from "assemblyscript/asc";

/**
 * What a core can do: twelve chains c = c · x + y, as many as a tile has, of different numbers, in registers alone: nothing but
 * multiply-adds that do not wait for one another. @returns `{ run, flops }`
 */
export async function multiplyAddLoop(relaxed) {
  const chains = [...Array(12).keys()];
  const step = (c) => (relaxed ? `f32x4.relaxed_madd(${c}, x, y)` : `f32x4.add(f32x4.mul(${c}, x), y)`);
  const source = `export function peak(p: usize, n: i32): void {
    const x = v128.load(p), y = v128.load(p, 16);
    ${chains.map((i) => `let c${i} = v128.load(p, ${32 + 16 * i});`).join("\n")}
    for (let i = 0; i < n; i++) { ${chains.map((i) => `c${i} = ${step(`c${i}`)};`).join(" ")} }
    ${chains.map((i) => `v128.store(p, c${i}, ${32 + 16 * i});`).join("\n")}
  }`;
  const { binary, error, stderr } = await asc.compileString(source, {
    runtime: "stub",
    optimizeLevel: 3,
    initialMemory: 1,
    enable: relaxed ? ["simd", "relaxed-simd"] : ["simd"],
  });
  if (error) throw new Error(stderr.toString());
  const { exports } = (await WebAssembly.instantiate(binary, {})).instance;
  new Float32Array(exports.memory.buffer, 1024, 64).forEach((_, i, all) => {
    all[i] = i < 4 ? 0.5 : 1 + i / 64;
  });
  const steps = 20000;
  return { run: () => exports.peak(1024, steps), flops: steps * chains.length * 4 * 2 };
}

/** What a core can read: a sum over `bytes` of memory, eight vectors at a time. @returns `{ run, bytes }` */
export async function readLoop(bytes) {
  const sums = [...Array(8).keys()];
  const source = `export function read(from: usize, end: usize): i32 {
    ${sums.map((i) => `let c${i} = i32x4.splat(0);`).join("\n")}
    for (; from < end; from += 128) { ${sums.map((i) => `c${i} = i32x4.add(c${i}, v128.load(from, ${16 * i}));`).join(" ")} }
    return i32x4.extract_lane(${sums.reduce((all, i) => (i ? `i32x4.add(${all}, c${i})` : "c0"), "")}, 0);
  }`;
  const { binary, error, stderr } = await asc.compileString(source, {
    runtime: "stub",
    optimizeLevel: 3,
    initialMemory: Math.ceil(bytes / 65536) + 2,
    enable: ["simd"],
  });
  if (error) throw new Error(stderr.toString());
  const { exports } = (await WebAssembly.instantiate(binary, {})).instance;
  new Uint8Array(exports.memory.buffer).fill(1);
  const end = 65536 + (bytes & -128);
  return { run: () => exports.read(65536, end), bytes: end - 65536 };
}
