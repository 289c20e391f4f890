import type { ImageSource } from "../format/image/read.ts";
import type { ModelSource } from "../format/source.ts";
import type { LoadOptions } from "../models/model.ts";
import type { Tensor } from "../tensor.ts";
import { eachImage, loadImages, type ModelMembers, modelTask } from "./images.ts";
import { best, choice, countOrAll, sigmoid, softmax } from "./scores.ts";
import type { CallOptions } from "./text.ts";
import type { Classified } from "./textClassification.ts";

export interface ImageClassificationOptions extends CallOptions {
  /** How many labels of each image, best first; null for all. Default 5. */
  top_k?: number | null;
  /** Default, as in transformers: sigmoid for one label or a multi-label model, else softmax. */
  function_to_apply?: "softmax" | "sigmoid" | "none";
}

/** Labels of an image, best first; a list for each of several. */
export interface ImageClassification extends ModelMembers {
  (image: ImageSource, options?: ImageClassificationOptions): Promise<Classified[]>;
  (images: readonly ImageSource[], options?: ImageClassificationOptions): Promise<Classified[][]>;
}

const FUNCTIONS = { softmax, sigmoid: (x: Float32Array) => Array.from(x, sigmoid), none: (x: Float32Array) => x };

export async function imageClassification(
  source?: ModelSource,
  options: LoadOptions = {},
): Promise<ImageClassification> {
  const head = /ForImageClassification(WithTeacher)?$/;
  const { model, processor } = await loadImages("image-classification", source, options, head);
  const labels = model.config.labels();
  const problem = model.config.string<string>("problem_type", undefined, "");
  const usual = problem === "multi_label_classification" || labels.length === 1 ? "sigmoid" : "softmax";
  const call = async (images: ImageSource | readonly ImageSource[], o: ImageClassificationOptions = {}) => {
    const { top_k = 5, function_to_apply = usual, signal } = o;
    const k = countOrAll("top_k", top_k);
    choice("function_to_apply", function_to_apply, Object.keys(FUNCTIONS));
    const run = async (pixel_values: Tensor, count: number) => {
      const { logits } = (await model.forward({ pixel_values }, { outputs: ["logits"], signal })) as { logits: Tensor };
      return Array.from({ length: count }, (_, i) => {
        const scores = FUNCTIONS[function_to_apply](logits.row(i).data);
        return best(
          labels.map((label, j): Classified => ({ label, score: scores[j] })),
          k,
        );
      });
    };
    const found = await eachImage(images, processor, run, o);
    return Array.isArray(images) ? found : found[0];
  };
  return modelTask(model, call as never) as ImageClassification;
}
