import * as tf from '@tensorflow/tfjs-core';
import { stepCompiler, type CompiledStep } from '../../engine/compiler.ts';
import { packedKernels } from '../../engine/frozen.ts';
import { asTensors } from '../feeds.ts';
import { joined } from '../floats.ts';
import type { Adaptation } from '../types.ts';
import type { FedPictures } from './preparation/fed.ts';
import type { VisionModel } from './towers/vision-model.ts';
import type { PatchGrid } from './towers/windows.ts';

/** A picture, or a tile of one. */
export interface LookedPicture {
  patches: Float32Array;
  grid: PatchGrid;
}

/** Pictures, or tiles of some: of each its features [tokens, hidden], whose numbers are the same whatever else is looked at. */
export type Look = (pictures: LookedPicture[]) => Promise<Float32Array[]>;

/** Weights are unpacked once for two; what more of them have between two products is too much for the caches. */
const AT_ONCE = 2;

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
 * How a frozen tower looks at pictures: where the engine can compile and all have one size, in one graph for two and one for a lone one.
 * @param weights of the model it belongs to, whose session it shares: a step that trains a part of the tower reads the same tensors
 */
export function lookOf(vision: VisionModel, weights: object): Look {
  const compiler = stepCompiler();
  const isOfOneSize = vision.config.tower.kind !== 'qwen2.5';
  if (!compiler || !packedKernels() || !isOfOneSize) return (pictures) => oneByOne(vision, pictures);
  const graphs = new Map<number, Promise<CompiledStep>>();
  const compile = async ({ patches, grids }: FedPictures) => {
    const examples = asTensors(vision.feeds(patches, grids));
    try {
      const step = () => ({ outputs: [vision.features(examples, grids)], updates: [] });
      const feeds = Object.values(examples);
      return await compiler.compile({ owner: weights, feeds, state: [], precision: 'f32', step });
    } finally {
      tf.dispose(examples);
    }
  };
  const some = async (pictures: LookedPicture[]): Promise<Float32Array[]> => {
    const fed = { patches: joined(pictures.map(({ patches }) => patches)), grids: pictures.map(({ grid }) => grid) };
    let graph = graphs.get(pictures.length);
    if (!graph) graphs.set(pictures.length, (graph = compile(fed)));
    const [features] = await (await graph).run(Object.values(vision.feeds(fed.patches, fed.grids)).map(({ values }) => values)); // prettier-ignore
    const each = features!.length / pictures.length;
    return pictures.map((_, i) => features!.slice(i * each, (i + 1) * each));
  };
  return async (pictures) => {
    const all: Float32Array[] = [];
    for (let at = 0; at < pictures.length; at += AT_ONCE) all.push(...(await some(pictures.slice(at, at + AT_ONCE))));
    return all;
  };
}

async function oneByOne(vision: VisionModel, pictures: LookedPicture[]): Promise<Float32Array[]> {
  const all: Float32Array[] = [];
  for (const { patches, grid } of pictures) all.push(await lookedAt(vision, { patches, grids: [grid] }));
  return all;
}
