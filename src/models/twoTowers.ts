import { InputError } from "../errors.ts";
import type { Config } from "../format/config.ts";
import type { Outputs } from "../graph/fuse.ts";
import type { Graph } from "../graph/graph.ts";
import { type Batch, type InputRules, layOut, positionsOf } from "../runtime/batch.ts";
import { imageDims, layOutImages, type PatchGrid } from "../runtime/images.ts";
import { noRows, withSide } from "../runtime/sides.ts";
import type { Architecture, Body } from "./architecture.ts";

/** The parts of a model of texts and images. Bodies are named as in the checkpoint: text_model, vision_model. */
export interface Towers {
  textRules(config: Config): InputRules;
  textBody(g: Graph, config: Config, at: string): Body;
  grid(config: Config): PatchGrid;
  visionBody(g: Graph, config: Config, at: string): Body;
  /** Embeddings and how they match; `side` is the images'. */
  match(g: Graph, side: Graph, config: Config, at: string, texts: Body, images: Body): Outputs;
}

/** The side of the graph on which images lie; texts lie on its own. */
const SIDE = "vision";

/** Classes whose checkpoints hold the tower of images alone. */
const single = (config: Config) => /ForImageClassification$/.test(config.strings("architectures")[0] ?? "");

/**
 * Two towers in one graph. Either may be left out of a call: then it gives what the other gives. last_hidden_state, hidden_states and
 * attentions are the text's; those of images are vision_…
 */
export function twoTowers(prefix: string, towers: Towers): Omit<Architecture, "heads"> {
  // Where there is the older spelling too, it is the one that counts, and the newer one does not.
  const visionOf = (config: Config) => config.sub(["vision_config_dict", "vision_config"]);
  const textOf = (config: Config) => config.sub(["text_config_dict", "text_config"]);
  return {
    prefix,
    rules: (config) =>
      single(config) ? { heads: towers.grid(visionOf(config)).heads, sizes: {} } : towers.textRules(textOf(config)),
    layOut({ pixel_values, interpolate_pos_encoding, ...text }, config) {
      const images = () => layOutImages({ pixel_values, interpolate_pos_encoding }, towers.grid(visionOf(config)));
      if (single(config)) return images();
      if (!pixel_values && text.input_ids === undefined) throw new InputError("input_ids or pixel_values are needed");
      const none = noRows(0);
      return paired(
        text.input_ids === undefined ? none : layOut(text, towers.textRules(textOf(config))),
        pixel_values ? images() : none,
      );
    },
    dims(config, batch, length) {
      const images = imageDims(towers.grid(visionOf(config)), batch);
      if (single(config))
        return length === undefined ? images : imageDims(towers.grid(visionOf(config)), batch, length);
      const n = length ?? positionsOf(towers.textRules(textOf(config)));
      const X = batch * batch;
      const other = Object.entries({ ...images, X }).map(([axis, size]) => [`${SIDE}.${axis}`, size]);
      return { T: batch * n, B: batch, P: batch * n * n, S: 0, R: 0, X, ...Object.fromEntries(other) };
    },
    body(g, config, at) {
      if (single(config)) return towers.visionBody(g, visionOf(config), `${at}vision_model.`);
      const side = g.side(SIDE);
      const texts = towers.textBody(g, textOf(config), `${at}text_model.`);
      const images = towers.visionBody(side, visionOf(config), `${at}vision_model.`);
      const { last_hidden_state, hidden_states, attentions } = texts;
      return {
        last_hidden_state,
        hidden_states,
        attentions,
        vision_last_hidden_state: images.last_hidden_state,
        vision_hidden_states: images.hidden_states,
        vision_attentions: images.attentions,
        ...towers.match(g, side, config, at, texts, images),
      };
    },
  };
}

/** Texts and images, and each text beside each image: X pairs. */
function paired(texts: Batch, images: Batch): Batch {
  const [t, i] = [texts.dims.B, images.dims.B];
  const X = t * i;
  const each = (of: (pair: number) => number) => Int32Array.from({ length: X }, (_, pair) => of(pair));
  const pairs = each((p) => (p % t) * i + Math.floor(p / t));
  const both = withSide(texts, SIDE, {
    ...images,
    dims: { ...images.dims, X },
    inputs: { ...images.inputs, pairs },
  });
  return {
    ...both,
    dims: { ...both.dims, X },
    inputs: { ...both.inputs, pair_texts: each((p) => Math.floor(p / i)), pair_images: each((p) => p % i) },
  };
}
