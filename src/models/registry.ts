import { UnsupportedModelError, UnsupportedOptionError } from "../errors.ts";
import type { Config } from "../format/config.ts";
import { brief } from "../format/read.ts";
import type { Architecture, Head } from "./architecture.ts";

const roberta = async () => (await import("./roberta.ts")).roberta;

/** Model families by `model_type`: each a module of its own, imported when a checkpoint of it is loaded. */
const ARCHITECTURES: { readonly [model_type: string]: () => Promise<Architecture> } = {
  albert: async () => (await import("./albert.ts")).albert,
  "audio-spectrogram-transformer": async () => (await import("./audioSpectrogram.ts")).audioSpectrogram,
  bart: async () => (await import("./bart.ts")).bart,
  bert: async () => (await import("./bert.ts")).bert,
  bloom: async () => (await import("./bloom.ts")).bloom,
  camembert: roberta,
  clip: async () => (await import("./clip.ts")).clip,
  clip_text_model: async () => (await import("./clip.ts")).clipText,
  clip_vision_model: async () => (await import("./clip.ts")).clipVision,
  "deberta-v2": async () => (await import("./debertaV2.ts")).debertaV2,
  deit: async () => (await import("./deit.ts")).deit,
  dinov2: async () => (await import("./dinov2.ts")).dinov2,
  distilbert: async () => (await import("./distilbert.ts")).distilbert,
  electra: async () => (await import("./electra.ts")).electra,
  falcon: async () => (await import("./falcon.ts")).falcon,
  gemma: async () => (await import("./gemma.ts")).gemma,
  gemma2: async () => (await import("./gemma.ts")).gemma2,
  gemma3: async () => (await import("./gemma.ts")).gemma3,
  gemma3_text: async () => (await import("./gemma.ts")).gemma3Text,
  gpt2: async () => (await import("./gpt2.ts")).gpt2,
  gpt_neo: async () => (await import("./gptNeo.ts")).gptNeo,
  gpt_neox: async () => (await import("./gptNeox.ts")).gptNeox,
  gpt_oss: async () => (await import("./moe.ts")).gptOss,
  gptj: async () => (await import("./gptj.ts")).gptj,
  granite: async () => (await import("./granite.ts")).granite,
  llama: async () => (await import("./llama.ts")).llama,
  mistral: async () => (await import("./mistral.ts")).mistral,
  mixtral: async () => (await import("./moe.ts")).mixtral,
  modernbert: async () => (await import("./modernbert.ts")).modernbert,
  mpnet: async () => (await import("./mpnet.ts")).mpnet,
  nomic_bert: async () => (await import("./nomicBert.ts")).nomicBert,
  olmo2: async () => (await import("./olmo2.ts")).olmo2,
  opt: async () => (await import("./opt.ts")).opt,
  phi: async () => (await import("./phi.ts")).phi,
  phi3: async () => (await import("./phi.ts")).phi3,
  qwen2: async () => (await import("./qwen.ts")).qwen2,
  qwen2_moe: async () => (await import("./moe.ts")).qwen2Moe,
  qwen3: async () => (await import("./qwen.ts")).qwen3,
  qwen3_moe: async () => (await import("./moe.ts")).qwen3Moe,
  roberta,
  sasrec: async () => (await import("./sasrec.ts")).sasrec,
  siglip: async () => (await import("./siglip.ts")).siglip,
  siglip_text_model: async () => (await import("./siglip.ts")).siglipText,
  siglip_vision_model: async () => (await import("./siglip.ts")).siglipVision,
  smollm3: async () => (await import("./smollm3.ts")).smollm3,
  stablelm: async () => (await import("./stablelm.ts")).stablelm,
  starcoder2: async () => (await import("./starcoder2.ts")).starcoder2,
  vit: async () => (await import("./vit.ts")).vit,
  "xlm-roberta": roberta,
};

export const supportedModels = (): string[] => Object.keys(ARCHITECTURES).sort();

/** The family of a config, and the head that `architectures` names. @throws UnsupportedModelError, UnsupportedOptionError */
export async function architectureOf(config: Config): Promise<{ architecture: Architecture; head?: Head }> {
  const { model_type } = config;
  if (!Object.hasOwn(ARCHITECTURES, model_type))
    throw new UnsupportedModelError(String(brief(model_type)), supportedModels());
  if (config.has("quantization_config"))
    throw new UnsupportedOptionError(
      `${config.file}: quantization_config`,
      brief(config.sub("quantization_config").raw.quant_method),
      ["weights in F32, F16 or BF16"],
    );
  const architecture = await ARCHITECTURES[model_type]();
  const [name] = config.strings("architectures");
  const named = name?.endsWith("LMHeadModel") ? "CausalLM" : /For(\w+)$/.exec(name ?? "")?.[1];
  // Pre-training is the masked head and one more; ELECTRA's is a discriminator, of which we have the body.
  const task = named === "PreTraining" ? (model_type === "electra" ? undefined : "MaskedLM") : named;
  if (task && !Object.hasOwn(architecture.heads, task)) {
    throw new UnsupportedOptionError(`${config.file}: architectures`, brief(name), [
      "…Model",
      ...Object.keys(architecture.heads).map((h) => `…For${h}`),
    ]);
  }
  return { architecture, head: task as Head | undefined };
}
