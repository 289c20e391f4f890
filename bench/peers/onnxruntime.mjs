/** onnxruntime: its WebAssembly (onnxruntime-web) and its native addon (onnxruntime-node, the line of what no WebAssembly has). One thread each. */
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { installed, minilm, versionOf } from "../material.mjs";
import { ofSession } from "../runners.mjs";

/** The f32 file holds the graph only: its weights are those of model.safetensors. */
const external = (dtype) =>
  dtype === "f32" ? { externalData: [{ path: basename(minilm.weights), data: readFileSync(minilm.weights) }] } : {};

const peer = (library, dtype, load) => ({
  name: `${library} ${dtype}`,
  group: dtype === "f32" ? "f32" : "8-bit",
  exact: dtype === "f32",
  why_not: () => installed(library),
  files: () => (dtype === "f32" ? [minilm.onnx.f32, minilm.weights] : [minilm.onnx.int8]),
  async load() {
    const { session, Tensor } = await load();
    return {
      version: versionOf(library),
      run: ofSession((feeds) => session.run(feeds), Tensor),
      dispose: () => session.release(),
    };
  },
});

export const onnxruntimeWeb = (dtype) =>
  peer("onnxruntime-web", dtype, async () => {
    const { InferenceSession, Tensor, env } = await import("onnxruntime-web");
    env.wasm.numThreads = 1;
    const session = await InferenceSession.create(readFileSync(minilm.onnx[dtype]), {
      executionProviders: ["wasm"],
      graphOptimizationLevel: "all",
      ...external(dtype),
    });
    return { session, Tensor };
  });

export const onnxruntimeNode = (dtype) =>
  peer("onnxruntime-node", dtype, async () => {
    const { InferenceSession, Tensor } = await import("onnxruntime-node");
    const session = await InferenceSession.create(readFileSync(minilm.onnx[dtype]), {
      executionProviders: ["cpu"],
      graphOptimizationLevel: "all",
      intraOpNumThreads: 1,
      interOpNumThreads: 1,
      ...external(dtype),
    });
    return { session, Tensor };
  });
