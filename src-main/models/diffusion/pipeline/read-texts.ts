import * as tf from '@tensorflow/tfjs-core';
import { passEagerly, passThrough, type Pass } from '../../compiled-forward.ts';
import { joined } from '../../floats.ts';
import type { Adaptation } from '../../types.ts';
import type { DiffusionModel } from './model.ts';

/** A text's features on the host. */
export interface TextNumbers {
  /** [tokens, contextWidth] */
  context: Float32Array;
  /** SDXL: its own as a whole; of a flow how many tokens it has; else empty */
  pooled: Float32Array;
}

/** What a model's encoders make of texts, each on its own: one graph reads all of a length. They stay open. */
export async function readTexts(
  model: DiffusionModel,
  texts: string[],
  adaptation?: Adaptation,
): Promise<Map<string, TextNumbers>> {
  await model.texts.open();
  const read = new Map<string, TextNumbers>();
  for (const text of new Set(texts)) {
    const { feeds } = model.texts.feeds([text]);
    const all = await passThrough(model, 'texts', feeds, adaptation, reading(model), read.size === 0);
    read.set(text, apart(all, model));
  }
  return read;
}

/** The same of one text by eager code, after which the encoders can be released: no graph knows them. */
export async function readOnce(model: DiffusionModel, text: string): Promise<TextNumbers> {
  await model.texts.open();
  return apart(await passEagerly(model.texts.feeds([text]).feeds, undefined, reading(model)), model);
}

/** The encoders as a pass; `apart` tells its numbers apart. */
const reading =
  ({ texts }: DiffusionModel): Pass =>
  (inputs, adaptation) => {
    const { context, pooled } = texts.features(inputs, { adaptation });
    return tf.concat([tf.reshape(context, [-1]), ...(pooled ? [tf.reshape(pooled, [-1])] : [])]);
  };

/** A text's features as one row of numbers, apart again. */
export function apart(all: Float32Array, { texts }: Pick<DiffusionModel, 'texts'>): TextNumbers {
  const size = all.length - texts.pooledWidth;
  return { context: all.subarray(0, size), pooled: all.subarray(size) };
}

/** Texts one after the other, each filled up by zeros to the longest's length. */
export function joinedTexts(texts: TextNumbers[]): TextNumbers {
  const longest = Math.max(...texts.map(({ context }) => context.length));
  const context = new Float32Array(texts.length * longest);
  texts.forEach((text, i) => context.set(text.context, i * longest));
  return { context, pooled: joined(texts.map(({ pooled }) => pooled)) };
}
