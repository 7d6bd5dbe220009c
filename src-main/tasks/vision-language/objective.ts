import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import { VARYING } from '../../engine/tensorflow/varying-size.ts';
import type { BatchTensors } from '../../models/batch.ts';
import { asTensors } from '../../models/feeds.ts';
import type { PatchGrid } from '../../models/vision/towers/windows.ts';
import type { PictureBatch, VisionLanguageModel } from '../../models/vision/vision-language.ts';
import { nextTokenObjective } from '../next-token.ts';
import type { Objective, Passes } from '../task.ts';

/** A batch on the engine, its pictures not yet seen: what sees them may be adapted. */
export interface PictureTensors {
  text: BatchTensors;
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
    parts: ({ grids }) => (grids.length === 0 ? {} : model.vision.rows(grids)),
    tensors: (batch) => {
      const places = model.places(batch);
      if (isTextAlone(batch)) return { text: text.tensors(batch) };
      const inputs = asTensors(model.feeds(batch));
      const pictures = { inputs, grids: batch.grids, places: tf.tensor1d(places, 'int32') };
      return { text: text.tensors(model.laid(batch)), pictures };
    },
    forGraph: (batch, isOpen) => ({ ...batch, ...text.forGraph(batch, isOpen) }),
    feeds: (batch, isOpen) => {
      const places = model.places(batch);
      if (isTextAlone(batch)) return text.feeds(batch, isOpen);
      return {
        ...text.feeds(model.laid(batch), isOpen),
        ...model.feeds(batch),
        places: { values: places, shape: [isOpen ? VARYING : batch.inputIds.length] },
      };
    },
    fed: (inputs, batch, isOpen) => {
      const tensors = text.fed(inputs, batch, isOpen);
      if (isTextAlone(batch)) return { text: tensors };
      return { text: tensors, pictures: { inputs, grids: batch.grids, places: inputs.places as tf.Tensor1D } };
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

/** Texts that have no picture are the language model's own. */
const isTextAlone = ({ grids }: PictureBatch) => grids.length === 0;
