import { UnsupportedModelError, UnsupportedOptionError } from "../errors.ts";
import type { Config } from "../format/config.ts";
import { brief } from "../format/read.ts";
import type { Architecture, Head } from "./architecture.ts";

/** Model families by `model_type`, or what imports one when a checkpoint of it is loaded. */
export interface Families {
  readonly [model_type: string]: Architecture | (() => Promise<Architecture>);
}

/** The family of a config, and the head that `architectures` names. @throws UnsupportedModelError, UnsupportedOptionError */
export async function architectureOf(
  config: Config,
  families: Families = {},
): Promise<{ architecture: Architecture; head?: Head }> {
  const { model_type } = config;
  if (!Object.hasOwn(families, model_type))
    throw new UnsupportedModelError(String(brief(model_type)), Object.keys(families).sort());
  if (config.has("quantization_config"))
    throw new UnsupportedOptionError(
      `${config.file}: quantization_config`,
      brief(config.sub("quantization_config").raw.quant_method),
      ["weights in F32, F16 or BF16"],
    );
  const family = families[model_type];
  const architecture = typeof family === "function" ? await family() : family;
  const [name] = config.strings("architectures");
  const named = name?.endsWith("LMHeadModel")
    ? "CausalLM"
    : name?.endsWith("MTModel")
      ? "ConditionalGeneration"
      : /For(\w+)$/.exec(name ?? "")?.[1];
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
