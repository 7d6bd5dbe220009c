import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor2D } from '@tensorflow/tfjs-core';
import { VARYING } from '../../engine/tensorflow/varying-size.ts';
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
  const width = model.language.config.hiddenSize;
  return {
    ...text,
    model,
    anyLength: !model.looksAhead,
    ready: (batch, adaptation) => model.seen(batch, adaptation),
    parts: ({ grids }) => (grids.length === 0 ? {} : model.vision.rows(grids)),
    tensors: (batch) => {
      const found = model.places(batch);
      if (isTextAlone(batch)) return { text: text.tensors(batch) };
      const [laid, places] = [text.tensors(model.laid(batch)), tf.tensor1d(found, 'int32')];
      if (batch.features) return { text: { ...laid, seen: { features: featureRows(batch.features, width), places } } };
      return { text: laid, pictures: { inputs: asTensors(model.feeds(batch)), grids: batch.grids, places } };
    },
    forGraph: (batch, isOpen) => ({ ...batch, ...text.forGraph(batch, isOpen) }),
    feeds: (batch, isOpen) => {
      const places = model.places(batch);
      if (isTextAlone(batch)) return text.feeds(batch, isOpen);
      const tokens = isOpen ? VARYING : batch.inputIds.length;
      return {
        ...text.feeds(model.laid(batch), isOpen),
        ...(batch.features ? atTokens(batch.features, width, places, tokens) : model.feeds(batch)),
        places: { values: batch.features ? own(places) : places, shape: [tokens] },
      };
    },
    fed: (inputs, batch, isOpen) => {
      const tensors = text.fed(inputs, batch, isOpen);
      if (isTextAlone(batch)) return { text: tensors };
      const places = inputs.places as tf.Tensor1D;
      if (batch.features) return { text: { ...tensors, seen: { features: inputs.features as Tensor2D, places } } };
      return { text: tensors, pictures: { inputs, grids: batch.grids, places } };
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

const featureRows = (features: Float32Array, width: number) => tf.tensor2d(features, [features.length / width, width]);

/** A picture's tokens are the features at their own places; -1: text. */
const own = (places: Int32Array) => places.map((place, token) => (place < 0 ? -1 : token));

/** A graph's features lie at their tokens, zeros at the text's: so one graph serves batches of any number of pictures. */
function atTokens(features: Float32Array, width: number, places: Int32Array, tokens: number): Feeds {
  const values = new Float32Array(places.length * width);
  for (const [token, place] of places.entries())
    if (place >= 0) values.set(features.subarray(place * width, (place + 1) * width), token * width);
  return { features: { values, shape: [tokens, width] } };
}

/** Texts that have no picture are the language model's own. */
const isTextAlone = ({ grids }: PictureBatch) => grids.length === 0;
