import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D } from '@tensorflow/tfjs-core';
import { UserError } from '../../../engine/types.ts';
import { openTensors, type FolderWeights } from '../../huggingface-weights.ts';
import { readFloats, type SafetensorsEntry } from '../../safetensors.ts';
import type { LayerNorm, VisionLinear } from './parts.ts';

/** Reads what a model sees with, tensor by tensor, each checked against the configuration before memory is taken. */
export interface VisionLoader {
  /** @param change what is kept instead of the tensor itself */
  tensor(name: string, shape: number[], change?: (values: Tensor) => Tensor): Promise<Tensor>;
  linear(name: string, outFeatures: number, inFeatures: number, biased?: boolean): Promise<VisionLinear>;
  norm(name: string, size: number): Promise<LayerNorm>;
}

/** Names of one form: a tower's begin with `tower.`, its connector's with `connector.`; others belong to the language model. */
const canonicalName = (name: string) =>
  name
    .replace(/^(model\.)?(vision_tower|vision_model)\.(vision_model\.)?/, 'tower.')
    .replace(/^(model\.)?(multi_modal_projector|connector)\./, 'connector.')
    .replace(/^(model\.)?visual\./, 'tower.');

/** A tensor's name in one form where it is of a tower or connector. */
export function visionName({ name }: SafetensorsEntry): string | undefined {
  const ours = canonicalName(name);
  return /^(tower|connector)\./.test(ours) ? ours : undefined;
}

/** What a file may hold that no features are made of: SigLIP's head, positions that are counted, what lies above the layer that is taken. */
export const isUnused = (name: string, layers: number) =>
  /^tower\.(head\.|embeddings\.position_ids$|post_layernorm\.)/.test(name) ||
  Number(/^tower\.encoder\.layers\.(\d+)\./.exec(name)?.[1] ?? -1) >= layers;

/**
 * Runs `load` over a folder's tensors; gives what it made, and the tensors by their names of one form.
 * @param layers so many of the tower's are run
 * @throws UserError when a tensor is missing, of another shape or type, or there is one that the model has no place for
 */
export async function withVisionLoader<T>(
  folder: string,
  layers: number,
  load: (loader: VisionLoader) => Promise<T>,
): Promise<{ loaded: T; tensors: Map<string, Tensor> }> {
  const { entries, close } = await openTensors(folder, visionName);
  const tensors = new Map<string, Tensor>();
  try {
    const loaded = await load(loaderOf(folder, entries, tensors));
    const other = [...entries].find(([name]) => !tensors.has(name) && !isUnused(name, layers));
    if (other)
      throw new UserError(`${folder} holds "${other[1].entry.name.slice(0, 120)}", which such a model has no place for; it can't be run as it is meant`); // prettier-ignore
    return { loaded, tensors };
  } catch (error) {
    tf.dispose([...tensors.values()]);
    throw error;
  } finally {
    await close();
  }
}

function loaderOf(folder: string, entries: FolderWeights['entries'], tensors: Map<string, Tensor>): VisionLoader {
  const tensor: VisionLoader['tensor'] = async (name, shape, change = (values) => values) => {
    const found = entries.get(name);
    if (found?.entry.shape.join() !== shape.join())
      throw new UserError(
        `${folder}: the tensor "${found?.entry.name ?? name}" is ${found ? found.entry.shape.join(' x ') : 'missing'} where ${shape.join(' x ')} is needed`,
      );
    const floats = await readFloats(found.reader, found.entry);
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
