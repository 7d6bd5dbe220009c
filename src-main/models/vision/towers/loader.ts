import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { packedKernels } from '../../../engine/frozen.ts';
import { PackedMatrix, type FrozenMatrix } from '../../../engine/packed.ts';
import { UserError } from '../../../engine/types.ts';
import { GGML_TYPES, type GgmlType } from '../../gguf/types.ts';
import type { LayerNorm } from '../../../engine/fused.ts';
import type { VisionLinear } from './parts.ts';
import { staysInHalf } from './names.ts';
import { openSeeingSource, type SeeingSource } from './source.ts';

/** What a model sees with, by names of one form: the matrices of the tower's layers as they lie in the file, where the engine has products for that. */
export type SeeingTensors = Map<string, Tensor | PackedMatrix>;

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
): Promise<{ loaded: T; tensors: SeeingTensors; files: string[] }> {
  const source = await openSeeingSource(place);
  const tensors: SeeingTensors = new Map();
  try {
    const loaded = await load(loaderOf(place, source, tensors));
    const other = source.other(new Set(tensors.keys()), layers);
    if (other !== undefined)
      throw new UserError(`${place} holds "${other.slice(0, 120)}", which such a model has no place for; it can't be run as it is meant`); // prettier-ignore
    return { loaded, tensors, files: source.paths };
  } catch (error) {
    disposeTensors(tensors);
    throw error;
  } finally {
    await source.close();
  }
}

export function disposeTensors(tensors: SeeingTensors): void {
  for (const tensor of tensors.values()) tensor.dispose();
}

function loaderOf(place: string, source: SeeingSource, tensors: SeeingTensors): VisionLoader {
  const find = (name: string, shape: number[]) => {
    const found = source.find(name, shape);
    if (found?.shape.join() === shape.join()) return found;
    throw new UserError(
      `${place}: the tensor "${found?.shown ?? name}" is ${found ? found.shape.join(' x ') : 'missing'} where ${shape.join(' x ')} is needed`,
    );
  };
  const matrix = async (name: string, rows: number, width: number): Promise<FrozenMatrix> => {
    const shape = [rows, width];
    const { place } = find(name, shape);
    const kernels = packedKernels();
    const format = place && staysInHalf({ name, shape, ...place }) ? GGML_TYPES[place.type as GgmlType].id : undefined;
    if (!place || format === undefined || !kernels?.holds(format, format))
      return (await tensor(name, shape)) as Tensor2D;
    const packed = await PackedMatrix.load(kernels, { ...place, format, rows, width }, format);
    tensors.set(name, packed);
    return packed;
  };
  const tensor: VisionLoader['tensor'] = async (name, shape, change = (values) => values) => {
    const found = find(name, shape);
    const floats = await found.read();
    const values = tf.keep(tf.tidy(() => change(tf.tensor(floats, shape))));
    tensors.set(name, values);
    return values;
  };
  return {
    tensor,
    linear: async (name, outFeatures, inFeatures, biased = true) => ({
      name,
      weight: await matrix(`${name}.weight`, outFeatures, inFeatures),
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
