import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import { VARYING } from '../../engine/varying-size.ts';
import type { BatchTensors } from '../../models/batch.ts';
import { asTensors, type Feeds } from '../../models/feeds.ts';
import type { PatchGrid } from '../../models/vision/towers/windows.ts';
import type { PictureBatch, VisionLanguageModel } from '../../models/vision/vision-language.ts';
import { nextTokenObjective } from '../next-token.ts';
import type { Objective, Passes } from '../task.ts';

/** A batch on the engine. */
export interface PictureTensors {
  /** with its pictures where they were seen before */
  text: BatchTensors;
  /** those that each pass looks at anew, as what sees them learns */
  pictures?: {
    /** the feeds of tower and connector */
    inputs: Record<string, Tensor>;
    grids: PatchGrid[];
    /** as `Seen` has them */
    places: tf.Tensor1D;
  };
}

/** The next token's -log p, summed over the label tokens of texts with pictures. */
export function pictureObjective(model: VisionLanguageModel): Objective<PictureBatch, PictureTensors> {
  const text = nextTokenObjective(model.language);
  return {
    ...text,
    model,
    anyLength: !model.looksAhead,
    ready: (batch, adaptation) => model.seen(batch, adaptation),
    parts: ({ grids }) => (grids.length === 0 ? {} : model.vision.rows(grids)),
    tensors: (batch) => {
      const pictures = pictureFeeds(model, batch, batch.inputIds.length);
      if (!pictures) return { text: text.tensors(batch) };
      return shown(text.tensors(model.laid(batch)), asTensors(pictures), batch);
    },
    forGraph: (batch, isOpen) => ({ ...batch, ...text.forGraph(batch, isOpen) }),
    feeds: (batch, isOpen) => {
      const pictures = pictureFeeds(model, batch, isOpen ? VARYING : batch.inputIds.length);
      return pictures ? { ...text.feeds(model.laid(batch), isOpen), ...pictures } : text.feeds(batch, isOpen);
    },
    fed: (inputs, batch, isOpen) => {
      const tensors = text.fed(inputs, batch, isOpen);
      return isTextAlone(batch) ? { text: tensors } : shown(tensors, inputs, batch);
    },
    forward: (tensors, passes) => tf.tidy(() => text.forward(withFeatures(model, tensors, passes), passes)),
    lossSum: (tensors, passes) => tf.tidy(() => text.lossSum(withFeatures(model, tensors, passes), passes)),
  };
}

/** The batch as the language model takes it: the pictures seen, as an adaptation lets them be seen. */
export function withFeatures(
  model: VisionLanguageModel,
  { text, pictures }: PictureTensors,
  { adaptation, recompute }: Partial<Passes> = {},
): BatchTensors {
  if (!pictures) return text;
  const { inputs, places } = pictures;
  const features = model.features(inputs, pictures, { adaptation, recompute: Boolean(recompute) });
  return { ...text, seen: { features, places } };
}

/** A text with its pictures, from what `pictureFeeds` feeds as tensors. */
function shown(text: BatchTensors, inputs: Record<string, Tensor>, { features, grids }: PictureBatch): PictureTensors {
  const places = inputs.places as tf.Tensor1D;
  if (!features) return { text, pictures: { inputs, grids, places } };
  return { text: { ...text, seen: { features: inputs.features as Tensor2D, places } } };
}

/**
 * What a batch's pictures feed; undefined: it has none. Features that are known lie at their tokens, zeros at the text's, so that one graph
 * serves batches of any number of pictures.
 * @param tokens of the batch, as shapes name them
 */
function pictureFeeds(model: VisionLanguageModel, batch: PictureBatch, tokens: number): Feeds | undefined {
  const places = model.places(batch);
  const { features } = batch;
  if (isTextAlone(batch)) return undefined;
  if (!features) return { ...model.feeds(batch), places: { values: places, shape: [tokens] } };
  const width = model.language.config.hiddenSize;
  const values = new Float32Array(places.length * width);
  for (const [token, place] of places.entries())
    if (place >= 0) values.set(features.subarray(place * width, (place + 1) * width), token * width);
  const own = places.map((place, token) => (place < 0 ? -1 : token));
  return { features: { values, shape: [tokens, width] }, places: { values: own, shape: [tokens] } };
}

/** Texts that have no picture are the language model's own. */
const isTextAlone = ({ grids }: PictureBatch) => grids.length === 0;
