import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor1D, Tensor2D, Tensor4D } from '@tensorflow/tfjs-core';
import type { FrozenFilter } from '../../engine/convolution.ts';
import { packedKernels } from '../../engine/frozen.ts';
import { PackedMatrix, type FrozenMatrix } from '../../engine/packed.ts';
import { UserError } from '../../engine/types.ts';
import { GGML_TYPES, type GgmlType } from '../gguf/types.ts';
import { residentType, type WeightFormat } from '../weight-format.ts';
import type { Linear } from './parts/linear.ts';
import type { Convolution, Norm } from './parts/resnet.ts';
import type { DiffusionSite } from './site.ts';
import type { DiffusionEntry, DiffusionSource } from './source.ts';

/** How many pixels a side a filter sees; of fewer channels its products are too narrow for the engine's own. */
const KERNEL = 3;
const LEAST_CHANNELS = 16;

/** A part's tensors on the engine, by their names in diffusers; filters lie as [kernel, kernel, in, out]. */
export type DiffusionTensors = Map<string, Tensor | PackedMatrix>;

/** Reads a part of a diffusion model, tensor by tensor, each checked against the configuration before memory is taken. */
export interface DiffusionLoader {
  tensor(name: string, shape: number[]): Promise<Tensor>;
  /** also of a 1 x 1 convolution */
  linear(name: string, outFeatures: number, inFeatures: number, options?: LinearOptions): Promise<Linear>;
  /** 3 x 3 */
  convolution(name: string, outChannels: number, inChannels: number, site?: DiffusionSite): Promise<Convolution>;
  norm(name: string, size: number): Promise<Norm>;
}

interface LinearOptions {
  /** default: it has a bias */
  biased?: boolean;
  site?: DiffusionSite;
  /** its matrix is held as those of sites are */
  held?: boolean;
}

/**
 * Runs `load` over a part's tensors; gives what it made, and the tensors. The source is closed.
 * @param format how the matrices of what can be adapted, and others that are large, are held, where the engine has products for that
 * @throws UserError when a tensor is missing, of another shape or type, or there is one that the part has no place for
 */
export async function withDiffusionLoader<T>(
  source: DiffusionSource,
  load: (loader: DiffusionLoader) => Promise<T>,
  format: WeightFormat = 'f32',
): Promise<{ loaded: T; tensors: DiffusionTensors }> {
  const tensors: DiffusionTensors = new Map();
  try {
    const loaded = await load(loaderOf(source, tensors, format));
    const other = source.infos.find(({ name }) => !tensors.has(name))?.name;
    if (other !== undefined)
      throw new UserError(`${source.place} holds "${other.slice(0, 120)}", which such a model has no place for; it can't be run as it is meant`); // prettier-ignore
    return { loaded, tensors };
  } catch (error) {
    disposeTensors(tensors);
    throw error;
  } finally {
    await source.close();
  }
}

/** The tensors that `load` asks for, by their names, with their shapes in the file; nothing is read. */
export async function shapesOf(load: (loader: DiffusionLoader) => Promise<unknown>): Promise<Map<string, number[]>> {
  const shapes = new Map<string, number[]>();
  const none = undefined as never;
  await load({
    tensor: async (name, shape) => (shapes.set(name, shape), none),
    linear: async (name, outFeatures, inFeatures, { biased = true, site } = {}) => {
      shapes.set(`${name}.weight`, [outFeatures, inFeatures]);
      if (biased) shapes.set(`${name}.bias`, [outFeatures]);
      return { weight: none, site };
    },
    convolution: async (name, outChannels, inChannels) => {
      shapes.set(`${name}.weight`, [outChannels, inChannels, 3, 3]).set(`${name}.bias`, [outChannels]);
      return { filter: none, bias: none };
    },
    norm: async (name, size) => {
      shapes.set(`${name}.weight`, [size]).set(`${name}.bias`, [size]);
      return { weight: none, bias: none };
    },
  });
  return shapes;
}

export function disposeTensors(tensors: DiffusionTensors): void {
  for (const tensor of tensors.values()) tensor.dispose();
}

function loaderOf(source: DiffusionSource, tensors: DiffusionTensors, format: WeightFormat): DiffusionLoader {
  const find = (name: string, shape: number[]): DiffusionEntry => {
    const found = source.find(name);
    // A linear may lie as a convolution of 1 x 1, and the other way round.
    const inFile = found?.shape.join() === [...shape, 1, 1].join() ? shape : found?.shape;
    if (!found || inFile!.join() !== shape.join())
      throw new UserError(
        `${source.place}: the tensor "${found?.shown ?? name}" is ${found ? found.shape.join(' x ') : 'missing'} where ${shape.join(' x ')} is needed`,
      );
    return found;
  };
  const read = async (name: string, shape: number[], change = (values: Tensor) => values): Promise<Tensor> => {
    const floats = await find(name, shape).read();
    const values = tf.keep(tf.tidy(() => change(tf.tensor(floats, shape))));
    tensors.set(name, values);
    return values;
  };
  const matrix = async (name: string, rows: number, width: number): Promise<FrozenMatrix> => {
    const { place } = find(name, [rows, width]);
    const wanted = place && residentType(place.type, width, format);
    const kernels = packedKernels();
    const id = (type: string) => GGML_TYPES[type as GgmlType].id;
    // An engine that can't make the format wanted may still hold the file's.
    const type = wanted && [wanted, place.type].find((each) => kernels?.holds(id(place.type), id(each)));
    if (!type) return (await read(name, [rows, width])) as Tensor2D;
    const packed = await PackedMatrix.load(kernels!, { ...place, format: id(place.type), rows, width }, id(type));
    tensors.set(name, packed);
    return packed;
  };
  const filter = async (name: string, out: number, channels: number): Promise<FrozenFilter> => {
    const { place } = find(name, [out, channels, KERNEL, KERNEL]);
    const kernels = packedKernels();
    const id = (type: string) => GGML_TYPES[type as GgmlType].id;
    const wanted = place && (residentType(place.type, channels, format) ?? 'f32');
    const isOwn = kernels?.convolution && place && place.type in GGML_TYPES && channels >= LEAST_CHANNELS;
    // An engine that can't make the format wanted may still hold the file's.
    const type = isOwn && [wanted!, place.type].find((each) => kernels.holds(id(place.type), id(each), true));
    if (!type)
      return (await read(name, [out, channels, KERNEL, KERNEL], (values) => tf.transpose(values, [2, 3, 1, 0]))) as Tensor4D; // prettier-ignore
    const places = KERNEL ** 2;
    const source = { ...place, format: id(place.type), rows: out, width: places * channels, places };
    const packed = await PackedMatrix.load(kernels, source, id(type));
    tensors.set(name, packed);
    return { matrix: packed, kernel: KERNEL };
  };
  const vector = async (name: string, size: number) => (await read(name, [size])) as Tensor1D;
  return {
    tensor: (name, shape) => read(name, shape),
    linear: async (name, outFeatures, inFeatures, { biased = true, site, held } = {}) => ({
      weight:
        site || held
          ? await matrix(`${name}.weight`, outFeatures, inFeatures)
          : ((await read(`${name}.weight`, [outFeatures, inFeatures])) as Tensor2D),
      bias: biased ? await vector(`${name}.bias`, outFeatures) : undefined,
      site,
    }),
    convolution: async (name, outChannels, inChannels, site) => ({
      site,
      filter: await filter(`${name}.weight`, outChannels, inChannels),
      bias: await vector(`${name}.bias`, outChannels),
    }),
    norm: async (name, size) => ({
      weight: await vector(`${name}.weight`, size),
      bias: await vector(`${name}.bias`, size),
    }),
  };
}
