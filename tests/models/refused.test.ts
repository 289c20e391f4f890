import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import { UnsupportedOptionError } from "../../src/errors.ts";
import { loadModel } from "../../src/host/node.ts";

/** Loads a fixture whose config says something else. */
async function altered(name: string, change: object) {
  const folder = mkdtempSync(join(tmpdir(), "wattention-"));
  try {
    cpSync(new URL(`../fixtures/models/${name}`, import.meta.url), folder, { recursive: true });
    const file = join(folder, "config.json");
    writeFileSync(file, JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), ...change }));
    (await loadModel(folder)).dispose();
  } finally {
    rmSync(folder, { recursive: true });
  }
}

it.each([
  ["llama", { rope_parameters: { rope_type: "spiral", rope_theta: 1e4 } }, /rope_type/],
  ["llama", { rope_parameters: undefined, rope_scaling: { type: "spiral", factor: 2 } }, /rope_type/],
  ["llama", { hidden_act: "softsign" }, /hidden_act/],
  ["gpt-oss", { quantization_config: { quant_method: "mxfp4" } }, /quantization_config.*mxfp4/],
  ["gpt-oss", { swiglu_alpha: 2 }, /swiglu_alpha/],
  ["gpt-oss", { num_experts_per_tok: 9 }, /num_experts_per_tok/],
  ["llama", { num_key_value_heads: 3 }, /num_key_value_heads/],
  ["mistral", { layer_types: ["chunked_attention", "full_attention"] }, /layer_types/],
  ["gemma3-text", { use_bidirectional_attention: true }, /use_bidirectional_attention/],
  ["bloom", { apply_residual_connection_post_layernorm: true }, /apply_residual_connection_post_layernorm/],
  ["opt", { layer_norm_elementwise_affine: false }, /layer_norm_elementwise_affine/],
  ["gpt-neo", { attention_types: [[["global", "far"], 1]], attention_layers: ["global", "far"] }, /attention_layers/],
  ["gpt-neo", { attention_types: [[["global", "far"], 1]], attention_layers: undefined }, /attention_types/],
  ["gpt-neo", { attention_types: [["local", 1e12]], attention_layers: undefined }, /attention_types/],
  [
    "phi3",
    { rope_parameters: { rope_type: "longrope", rope_theta: 1e4, short_factor: [1], long_factor: [1] } },
    /short_factor/,
  ],
])("%s with %o is refused by name", async (name, change, message) => {
  const error = await altered(name, change).catch((e) => e);
  expect(error).toBeInstanceOf(UnsupportedOptionError);
  expect(error.message).toMatch(message);
});
