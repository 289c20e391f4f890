import { InputError } from "../errors.ts";
import { ImageProcessor } from "../format/image/processor.ts";
import type { ImageSource } from "../format/image/read.ts";
import type { ModelSource } from "../format/source.ts";
import type { LoadOptions } from "../models/model.ts";
import type { Tensor } from "../tensor.ts";
import { eachImage, given, processorConfig } from "./images.ts";
import { best, sigmoid, softmax, strings } from "./scores.ts";
import { type CallOptions, type Task, TextModel, task } from "./text.ts";
import type { Classified } from "./textClassification.ts";

export interface ZeroShotImageClassificationOptions extends CallOptions {
  /** The text of a label, in the place of `{}`. Default "This is a photo of {}". */
  hypothesis_template?: string;
}

/** How well each label describes an image, best first; a list for each of several images. */
export type ZeroShotImageClassification = Task<{
  (image: ImageSource, labels: readonly string[], options?: ZeroShotImageClassificationOptions): Promise<Classified[]>;
  (
    images: readonly ImageSource[],
    labels: readonly string[],
    options?: ZeroShotImageClassificationOptions,
  ): Promise<Classified[][]>;
}>;

/** @throws InputError unless the model has a tower of texts and one of images */
export async function zeroShotImageClassification(
  source?: ModelSource,
  options: LoadOptions = {},
): Promise<ZeroShotImageClassification> {
  const name = "zero-shot-image-classification";
  let processor: ImageProcessor | undefined;
  const text = await TextModel.load(given(name, source), options, async (folder) => {
    processor = ImageProcessor.from(await processorConfig(folder, options.signal));
    return {};
  });
  const { model, tokenizer } = text;
  if (!model.outputs.includes("logits_per_image")) {
    model.dispose();
    throw new InputError(`${name} needs a model of texts and images (CLIP, SigLIP), not ${model.config.model_type}`);
  }
  // SigLIP was trained on texts of one length, whose padding it reads; its scores are each a label's own.
  const siglip = /^siglip/.test(model.config.model_type);
  const length = model.config.sub("text_config").int("max_position_embeddings", { default: siglip ? 64 : 77 });
  const encode = (label: string) => {
    const { input_ids } = text.encode(label, undefined, { truncation: true, max_length: length });
    const pad = tokenizer.pad_token_id ?? 1;
    return siglip ? [...input_ids, ...new Array<number>(length - input_ids.length).fill(pad)] : input_ids;
  };

  const call = async (
    images: ImageSource | readonly ImageSource[],
    labels: readonly string[],
    o: ZeroShotImageClassificationOptions = {},
  ) => {
    const { hypothesis_template = "This is a photo of {}", signal } = o;
    if (!hypothesis_template.includes("{}")) throw new InputError("hypothesis_template has no {} for the label");
    const input_ids = strings("labels", labels).map((label) => encode(hypothesis_template.replace("{}", () => label)));
    if (!input_ids.length) throw new InputError("labels is empty");
    const run = async (pixel_values: Tensor, count: number) => {
      const inputs = { input_ids, pixel_values };
      const { logits_per_image } = (await model.forward(inputs, { outputs: ["logits_per_image"], signal })) as {
        logits_per_image: Tensor;
      };
      return Array.from({ length: count }, (_, i) => {
        const logits = logits_per_image.row(i).data;
        const scores = siglip ? Array.from(logits, sigmoid) : softmax(logits);
        return best(labels.map((label, j): Classified => ({ label, score: scores[j] })));
      });
    };
    const found = await eachImage(images, processor!, run, o);
    return Array.isArray(images) ? found : found[0];
  };
  return task(text, call as never) as ZeroShotImageClassification;
}
