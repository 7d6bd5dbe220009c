import * as tf from '@tensorflow/tfjs-core';
import { passThrough } from '../../compiled-forward.ts';
import type { Adaptation } from '../../types.ts';
import type { DiffusionModel } from './model.ts';

/** A text's features on the host. */
export interface TextNumbers {
  /** [tokens, contextWidth] */
  context: Float32Array;
  /** SDXL: its own as a whole; else empty */
  pooled: Float32Array;
}

/** What a model's encoders make of texts, each on its own: one graph reads them all. */
export async function readTexts(
  model: DiffusionModel,
  texts: string[],
  adaptation?: Adaptation,
): Promise<Map<string, TextNumbers>> {
  const size = model.texts.length * model.unet.config.contextWidth;
  const read = new Map<string, TextNumbers>();
  for (const text of new Set(texts)) {
    const { feeds } = model.texts.feeds([text]);
    const all = await passThrough(
      model,
      'texts',
      feeds,
      adaptation,
      (inputs, slots) => {
        const { context, pooled } = model.texts.features(inputs, { adaptation: slots });
        return tf.concat([tf.reshape(context, [-1]), ...(pooled ? [tf.reshape(pooled, [-1])] : [])]);
      },
      read.size === 0,
    );
    read.set(text, { context: all.subarray(0, size), pooled: all.subarray(size) });
  }
  return read;
}
