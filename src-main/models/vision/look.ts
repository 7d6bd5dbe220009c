import * as tf from '@tensorflow/tfjs-core';
import { packedKernels } from '../../engine/frozen.ts';
import { stepCompiler } from '../../engine/tensorflow/open-compiler.ts';
import type { CompiledStep } from '../../engine/tensorflow/compiled-graph.ts';
import { asTensors } from '../feeds.ts';
import type { Adaptation } from '../types.ts';
import type { FedPictures } from './preparation/fed.ts';
import type { VisionModel } from './towers/vision-model.ts';
import type { PatchGrid } from './towers/windows.ts';

/** A picture, or a tile of one: its features [tokens, hidden]. */
export type Look = (patches: Float32Array, grid: PatchGrid) => Promise<Float32Array>;

/** What a tower makes of some pictures, on the host, [features, hidden]. */
export async function lookedAt(
  vision: VisionModel,
  { patches, grids }: FedPictures,
  adaptation?: Adaptation,
): Promise<Float32Array> {
  const features = tf.tidy(() => vision.features(asTensors(vision.feeds(patches, grids)), grids, { adaptation }));
  const values = (await features.data()) as Float32Array;
  features.dispose();
  return values;
}

/**
 * How a frozen tower looks at one picture after the other: where the engine can compile and all pictures have one size, in one graph.
 * @param weights of the model it belongs to, whose session it shares: a step that trains a part of the tower reads the same tensors
 */
export function lookOf(vision: VisionModel, weights: object): Look {
  const compiler = stepCompiler();
  const isOfOneSize = vision.config.tower.kind !== 'qwen2.5';
  if (!compiler || !packedKernels() || !isOfOneSize)
    return (patches, grid) => lookedAt(vision, { patches, grids: [grid] });
  let graph: Promise<CompiledStep> | undefined;
  const compile = async (patches: Float32Array, grid: PatchGrid) => {
    const examples = asTensors(vision.feeds(patches, [grid]));
    try {
      const step = () => ({ outputs: [vision.features(examples, [grid])], updates: [] });
      const feeds = Object.values(examples);
      return await compiler.compile({ session: compiler.sessionOf(weights), feeds, state: [], precision: 'f32', step });
    } finally {
      tf.dispose(examples);
    }
  };
  return async (patches, grid) => {
    const feeds = Object.values(vision.feeds(patches, [grid]));
    const compiled = await (graph ??= compile(patches, grid));
    const [features] = await compiled.run(feeds.map(({ values }) => values));
    return features!;
  };
}
