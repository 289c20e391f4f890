import { readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { loadModel, plan, type Tensor, UnsupportedModelError, UnsupportedOptionError } from "../../src/host/node.ts";
import { tinyBert } from "../tiny.ts";

type Json = { [name: string]: unknown };

/** A committed case with its config changed. */
function changed(name: string, change: Json, rename = (header: string) => header) {
  const read = (file: string) => readFileSync(new URL(`../fixtures/models/${name}/${file}`, import.meta.url));
  const config = { ...JSON.parse(read("config.json").toString()), ...change };
  return { config, weights: renamed(read("model.safetensors"), rename) };
}

/** A safetensors file with another header. */
function renamed(file: Uint8Array, rename: (header: string) => string): Uint8Array {
  const bytes = Buffer.from(file);
  const size = Number(bytes.readBigUInt64LE(0));
  const header = Buffer.from(rename(bytes.toString("utf8", 8, 8 + size)));
  const length = Buffer.alloc(8);
  length.writeBigUInt64LE(BigInt(header.length));
  return Buffer.concat([length, header, bytes.subarray(8 + size)]);
}

describe("what would change the numbers and is not here is refused by name", () => {
  const layered = (rope_type: string) => ({
    rope_parameters: {
      full_attention: { rope_type, rope_theta: 160000, factor: 2 },
      sliding_attention: { rope_type: "default", rope_theta: 10000 },
    },
  });
  const refused: [family: string, option: string, change: Json][] = [
    ["bert", "is_decoder", { is_decoder: true }],
    ["bert", "position_embedding_type", { position_embedding_type: "relative_key" }],
    ["bert", "hidden_act", { hidden_act: "mish" }],
    ["bert", "heads", { num_attention_heads: 3 }],
    ["bert", "architectures", { architectures: ["BertForMultipleChoice"] }],
    ["roberta", "is_decoder", { is_decoder: true }],
    ["roberta", "architectures", { architectures: ["RobertaForCausalLM"] }],
    ["electra", "position_embedding_type", { position_embedding_type: "relative_key_query" }],
    ["albert", "num_hidden_groups", { num_hidden_groups: 3 }],
    ["distilbert", "activation", { activation: "gelu_10" }],
    ["mpnet", "relative_attention_num_buckets", { relative_attention_num_buckets: 16 }],
    ["modernbert", "rope_type", layered("yarn")],
    ["modernbert", "rope_type", layered("linear")],
    ["modernbert", "layer_types", { layer_types: ["full_attention", "chunked_attention", "full_attention"] }],
    ["modernbert-classify", "classifier_pooling", { classifier_pooling: "max" }],
    ["nomic-bert", "rope_type", { rope_parameters: { rope_type: "dynamic", rope_theta: 1000, factor: 2 } }],
    ["nomic-bert", "rotary_scaling_factor", { rotary_scaling_factor: 2 }],
    ["nomic-bert", "prenorm", { prenorm: true }],
    ["nomic-bert", "causal", { causal: true }],
    ["nomic-bert", "use_rms_norm", { use_rms_norm: true }],
    ["nomic-bert", "activation_function", { activation_function: "gelu" }],
    ["deberta-v2-conv", "conv_groups", { conv_groups: 2 }],
    ["deberta-v2-conv", "conv_kernel_size", { conv_kernel_size: 2 }],
    ["deberta-v2", "attention_head_size", { attention_head_size: 7 }],
    ["deberta-v2", "position_buckets", { max_relative_positions: 5 }],
  ];
  it.each(refused)("%s: %s %j", async (family, option, change) => {
    const error = await plan(changed(family, change), { length: 8 }).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UnsupportedOptionError);
    expect((error as UnsupportedOptionError).option).toMatch(new RegExp(`${option}$`));
  });

  it("an unknown model_type, with those there are", async () => {
    const error = await loadModel(changed("bert", { model_type: "gptx" })).catch((e: unknown) => e);
    expect(error).toBeInstanceOf(UnsupportedModelError);
    expect((error as UnsupportedModelError).supported).toContain("modernbert");
  });
});

it("ELECTRA's discriminators load as bodies, other families' pre-training as the masked head", async () => {
  const electra = await loadModel(changed("electra", { architectures: ["ElectraForPreTraining"] }));
  expect(electra.outputs).not.toContain("logits");
  electra.dispose();
  const bert = await loadModel(changed("bert-mlm", { architectures: ["BertForPreTraining"] }));
  expect(bert.outputs).toContain("logits");
  bert.dispose();
});

it("norms called gamma and beta, as in bert-base-uncased, are read", async () => {
  const old = (header: string) =>
    header.replaceAll('LayerNorm.weight"', 'LayerNorm.gamma"').replaceAll('LayerNorm.bias"', 'LayerNorm.beta"');
  const outputs = ["last_hidden_state"];
  const results: Tensor[] = [];
  for (const rename of [undefined, old]) {
    const model = await loadModel(changed("bert", {}, rename));
    results.push((await model.forward({ input_ids: [[1, 2, 3]] }, { outputs })).last_hidden_state as Tensor);
    model.dispose();
  }
  expect(results[1].data).toEqual(results[0].data);
});

it("positions given by the caller move a rotary model", async () => {
  const model = await loadModel(changed("nomic-bert", {}));
  const at = async (position_ids: number[]) =>
    (await model.forward({ input_ids: [[1, 2, 3]], position_ids: [position_ids] })).last_hidden_state as Tensor;
  const [a, b, c] = [await at([0, 1, 2]), await at([5, 6, 7]), await at([0, 2, 4])];
  const far = (x: Tensor, y: Tensor) =>
    Math.max(
      ...x
        .tolist()
        .flat(2)
        .map((v, i) => Math.abs(v - (y.data[i] as number))),
    );
  expect(far(a, b)).toBeLessThan(1e-5); // rotations tell distances alone
  expect(far(a, c)).toBeGreaterThan(1e-3);
  model.dispose();
});

it("layers of ALBERT that share weights take no more memory", async () => {
  const one = await plan(changed("albert", { num_hidden_layers: 2 }), { length: 8 });
  const many = await plan(changed("albert", { num_hidden_layers: 24 }), { length: 8 });
  expect(many.weights).toBe(one.weights);
  expect((await plan(tinyBert({ layers: 3 }), { length: 8 })).weights).toBeGreaterThan(
    (await plan(tinyBert({ layers: 2 }), { length: 8 })).weights,
  );
});
