import { UnsupportedModelError, UnsupportedOptionError } from "../errors.ts";
import type { Config } from "../format/config.ts";
import { albert } from "./albert.ts";
import type { Architecture, Head } from "./architecture.ts";
import { bert } from "./bert.ts";
import { debertaV2 } from "./debertaV2.ts";
import { distilbert } from "./distilbert.ts";
import { electra } from "./electra.ts";
import { modernbert } from "./modernbert.ts";
import { mpnet } from "./mpnet.ts";
import { nomicBert } from "./nomicBert.ts";
import { roberta } from "./roberta.ts";

/** Model families by `model_type`. */
const ARCHITECTURES: { readonly [model_type: string]: Architecture } = {
  albert,
  bert,
  camembert: roberta,
  "deberta-v2": debertaV2,
  distilbert,
  electra,
  modernbert,
  mpnet,
  nomic_bert: nomicBert,
  roberta,
  "xlm-roberta": roberta,
};

export const supportedModels = (): string[] => Object.keys(ARCHITECTURES).sort();

/** The family of a config, and the head that `architectures` names. @throws UnsupportedModelError, UnsupportedOptionError */
export function architectureOf(config: Config): { architecture: Architecture; head?: Head } {
  const { model_type } = config;
  if (!Object.hasOwn(ARCHITECTURES, model_type)) throw new UnsupportedModelError(model_type, supportedModels());
  const architecture = ARCHITECTURES[model_type];
  const [name] = config.strings("architectures");
  const task = /For(\w+)$/.exec(name ?? "")?.[1].replace("PreTraining", "MaskedLM");
  if (task && !Object.hasOwn(architecture.heads, task)) {
    throw new UnsupportedOptionError(`${config.file}: architectures`, name, [
      "…Model",
      ...Object.keys(architecture.heads).map((h) => `…For${h}`),
    ]);
  }
  return { architecture, head: task as Head | undefined };
}
