import { InputError } from "../errors.ts";
import { ImageProcessor } from "../format/image/processor.ts";
import { type ImageSource, readImage } from "../format/image/read.ts";
import type { ModelSource } from "../format/source.ts";
import type { Token } from "../generate/loop.ts";
import type { LoadOptions } from "../models/model.ts";
import type { Tensor } from "../tensor.ts";
import { streamed, type WritingOptions, written } from "./generation.ts";
import { eachImage, given, processorConfig } from "./images.ts";
import { type Task, TextModel, task } from "./text.ts";
import type { Generated } from "./textGeneration.ts";

/** What a model writes about an image; a list for each of several. */
export type ImageToText = Task<{
  (image: ImageSource, options?: WritingOptions): Promise<Generated[]>;
  (images: readonly ImageSource[], options?: WritingOptions): Promise<Generated[][]>;
}> & {
  /** The tokens about one image, as they are made. */
  stream(image: ImageSource, options?: WritingOptions): AsyncGenerator<Token, void, undefined>;
};

/** @throws InputError unless the model reads images and writes text */
export async function imageToText(source?: ModelSource, options: LoadOptions = {}): Promise<ImageToText> {
  let processor: ImageProcessor | undefined;
  const text = await TextModel.load(given("image-to-text", source), options, async (folder) => {
    processor = ImageProcessor.from(await processorConfig(folder, options.signal));
    return {};
  });
  const { model, tokenizer } = text;
  if (!model.outputs.includes("next_logits")) {
    model.dispose();
    throw new InputError(`image-to-text needs a model that writes about images, not ${model.config.model_type}`);
  }
  const start = (pixel_values: Tensor) => ({ inputs: { pixel_values }, prompt: 1 });
  const call = async (images: ImageSource | readonly ImageSource[], o: WritingOptions = {}) => {
    const run = async (pixel_values: Tensor, count: number) => {
      const all = await written(text, start(pixel_values), o, true);
      const each = all.length / count;
      const texts = all.map((ids) => tokenizer.decode(ids, { skip_special_tokens: true }).trim());
      return Array.from({ length: count }, (_, i) =>
        texts.slice(i * each, (i + 1) * each).map((generated_text): Generated => ({ generated_text })),
      );
    };
    const found = await eachImage(images, processor!, run, o);
    return Array.isArray(images) ? found : found[0];
  };
  return Object.assign(task(text, call as never), {
    async *stream(image: ImageSource, o: WritingOptions = {}) {
      const { pixel_values } = processor!.process(await readImage(image, { signal: o.signal }));
      yield* streamed(text, start(pixel_values), o, true);
    },
  }) as ImageToText;
}
