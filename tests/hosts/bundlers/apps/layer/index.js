import { MultiheadAttention, Tensor } from "wattention";

const x = new Tensor(Float32Array.from({ length: 2 * 7 * 16 }, (_, i) => Math.fround((i % 13) / 13 - 0.5)), [2, 7, 16]);
using attention = new MultiheadAttention(16, 4, { causal: true, seed: 1 });
const { out } = await attention.forward(x, x, x);
console.log(JSON.stringify([...out.data]));
