import { loadModel, type Tensor } from "wattention";
import {
  attentionHtml,
  attentionRollout,
  attentionSvg,
  attentionText,
  type HtmlOptions,
  type Labels,
} from "wattention/view";

export async function look(tokens: string[]): Promise<string[]> {
  const { attentions } = await (await loadModel("model")).forward({ input_ids: [[1, 2]] }, { outputs: ["attentions"] });
  if (!Array.isArray(attentions)) return [];
  const options: HtmlOptions = { attentions, tokens };
  const labels: Labels = { rows: tokens, columns: tokens };
  const matrix: Tensor = attentionRollout(attentions, { fusion: "max" });
  return [
    attentionHtml(options),
    attentionSvg(matrix, { rows: tokens, columns: tokens }),
    attentionText(matrix, labels),
  ];
}
