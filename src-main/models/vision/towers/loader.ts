import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { UserError } from '../../../engine/types.ts';
import type { LayerNorm, VisionLinear } from './parts.ts';
import { openSeeingSource, type SeeingSource } from './source.ts';

/** Reads what a model sees with, tensor by tensor, each checked against the configuration before memory is taken. */
export interface VisionLoader {
  /** @param change what is kept instead of the tensor itself */
  tensor(name: string, shape: number[], change?: (values: Tensor) => Tensor): Promise<Tensor>;
  linear(name: string, outFeatures: number, inFeatures: number, biased?: boolean): Promise<VisionLinear>;
  norm(name: string, size: number): Promise<LayerNorm>;
}

/**
 * Runs `load` over the tensors of a folder or an mmproj file; gives what it made, the tensors by their names of one form, and the files that they lie in.
 * @param layers so many of the tower's are run
 * @throws UserError when a tensor is missing, of another shape or type, or there is one that the model has no place for
 */
export async function withVisionLoader<T>(
  place: string,
  layers: number,
  load: (loader: VisionLoader) => Promise<T>,
): Promise<{ loaded: T; tensors: Map<string, Tensor>; files: string[] }> {
  const source = await openSeeingSource(place);
  const tensors = new Map<string, Tensor>();
  try {
    const loaded = await load(loaderOf(place, source, tensors));
    const other = source.other(new Set(tensors.keys()), layers);
    if (other !== undefined)
      throw new UserError(`${place} holds "${other.slice(0, 120)}", which such a model has no place for; it can't be run as it is meant`); // prettier-ignore
    return { loaded, tensors, files: source.paths };
  } catch (error) {
    tf.dispose([...tensors.values()]);
    throw error;
  } finally {
    await source.close();
  }
}

function loaderOf(place: string, source: SeeingSource, tensors: Map<string, Tensor>): VisionLoader {
  const tensor: VisionLoader['tensor'] = async (name, shape, change = (values) => values) => {
    const found = source.find(name, shape);
    if (found?.shape.join() !== shape.join())
      throw new UserError(
        `${place}: the tensor "${found?.shown ?? name}" is ${found ? found.shape.join(' x ') : 'missing'} where ${shape.join(' x ')} is needed`,
      );
    const floats = await found.read();
    const values = tf.keep(tf.tidy(() => change(tf.tensor(floats, shape))));
    tensors.set(name, values);
    return values;
  };
  return {
    tensor,
    linear: async (name, outFeatures, inFeatures, biased = true) => ({
      name,
      weight: (await tensor(`${name}.weight`, [outFeatures, inFeatures])) as Tensor2D,
      bias: biased ? ((await tensor(`${name}.bias`, [outFeatures])) as Tensor1D) : undefined,
    }),
    norm: async (name, size) => ({
      weight: (await tensor(`${name}.weight`, [size])) as Tensor1D,
      bias: (await tensor(`${name}.bias`, [size])) as Tensor1D,
    }),
  };
}

/** A patch convolution's weight as the linear that it is: the stride is the patch. */
export async function patchLinear(
  loader: VisionLoader,
  name: string,
  kernel: [out: number, ...inside: number[]],
  biased: boolean,
): Promise<VisionLinear> {
  const flat = (values: Tensor) => tf.reshape(values, [kernel[0], -1]);
  return {
    weight: (await loader.tensor(`${name}.weight`, kernel, flat)) as Tensor2D,
    bias: biased ? ((await loader.tensor(`${name}.bias`, [kernel[0]])) as Tensor1D) : undefined,
  };
}
