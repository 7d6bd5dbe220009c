import * as tf from '@tensorflow/tfjs-core';
import { VARYING } from '../../engine/tensorflow/varying-size.ts';
import type { BatchTensors } from '../../models/batch.ts';
import { asTensors } from '../../models/feeds.ts';
import type { PictureBatch, VisionLanguageModel } from '../../models/vision/vision-language.ts';
import { nextTokenObjective } from '../next-token.ts';
import type { Objective } from '../task.ts';

/** The next token's -log p, summed over the label tokens of texts with pictures, which a frozen tower sees. */
export function pictureObjective(model: VisionLanguageModel): Objective<PictureBatch, BatchTensors> {
  const text = nextTokenObjective(model.language);
  return {
    ...text,
    model,
    anyLength: !model.looksAhead,
    tensors: (batch) => {
      const places = model.places(batch);
      if (isTextAlone(batch)) return text.tensors(batch);
      const features = tf.tidy(() => model.features(asTensors(model.feeds(batch)), batch));
      return { ...text.tensors(model.laid(batch)), seen: { features, places: tf.tensor1d(places, 'int32') } };
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
      if (isTextAlone(batch)) return tensors;
      return { ...tensors, seen: { features: model.features(inputs, batch), places: inputs.places as tf.Tensor1D } };
    },
  };
}

/** Texts that have no picture are the language model's own. */
const isTextAlone = ({ grids }: PictureBatch) => grids.length === 0;
