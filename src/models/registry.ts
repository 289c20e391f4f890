import type { Families } from "./families.ts";

const roberta = async () => (await import("./roberta.ts")).roberta;

/** Model families by `model_type`: each a module of its own, imported when a checkpoint of it is loaded. */
export const FAMILIES: Families = {
  albert: async () => (await import("./albert.ts")).albert,
  "audio-spectrogram-transformer": async () => (await import("./audioSpectrogram.ts")).audioSpectrogram,
  bart: async () => (await import("./bart.ts")).bart,
  bert: async () => (await import("./bert.ts")).bert,
  bloom: async () => (await import("./bloom.ts")).bloom,
  camembert: roberta,
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
  gptj: async () => (await import("./gptj.ts")).gptj,
  granite: async () => (await import("./granite.ts")).granite,
  llama: async () => (await import("./llama.ts")).llama,
  mistral: async () => (await import("./mistral.ts")).mistral,
  modernbert: async () => (await import("./modernbert.ts")).modernbert,
  mpnet: async () => (await import("./mpnet.ts")).mpnet,
  nomic_bert: async () => (await import("./nomicBert.ts")).nomicBert,
  olmo2: async () => (await import("./olmo2.ts")).olmo2,
  opt: async () => (await import("./opt.ts")).opt,
  phi: async () => (await import("./phi.ts")).phi,
  phi3: async () => (await import("./phi.ts")).phi3,
  qwen2: async () => (await import("./qwen.ts")).qwen2,
  qwen3: async () => (await import("./qwen.ts")).qwen3,
  roberta,
  sasrec: async () => (await import("./sasrec.ts")).sasrec,
  smollm3: async () => (await import("./smollm3.ts")).smollm3,
  stablelm: async () => (await import("./stablelm.ts")).stablelm,
  starcoder2: async () => (await import("./starcoder2.ts")).starcoder2,
  vit: async () => (await import("./vit.ts")).vit,
  "xlm-roberta": roberta,
};

export const supportedModels = (): string[] => Object.keys(FAMILIES).sort();
