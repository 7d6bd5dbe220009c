import * as tf from '@tensorflow/tfjs-core';
import type { Tensor } from '@tensorflow/tfjs-core';
import type { Attribute } from './addon.ts';
import { attribute, DataType } from './addon.ts';
import type { CompilerBackend } from './resident-tensors.ts';

/** Types that tfjs has no names for. */
export const { uint8, int8, half, bfloat16, float, int32 } = DataType;

/**
 * TensorFlow's own operations on bytes, which every device has. tfjs takes such tensors for int32; only what is here may be done with
 * them.
 */
export class ByteOperations {
  constructor(private readonly backend: CompilerBackend) {}

  /** The bytes that lie in a tensor of f32, so many of them: tfjs's binding carries and reads no others. */
  bytesIn(words: Tensor, count: number): Tensor {
    const all = this.reshape(this.bitcast(words, float, uint8), uint8, [4 * words.size]);
    if (count === all.size) return all;
    return this.reshape(this.columns(this.reshape(all, uint8, [1, all.size]), 0, count), uint8, [count]);
  }

  reshape(x: Tensor, type: number, shape: number[]): Tensor {
    return this.one('Reshape', [of('T', type), of('Tshape', int32)], [x, tf.tensor1d(shape, 'int32')]);
  }

  /** Columns [from, to) of bytes [rows, columns]. */
  columns(x: Tensor, from: number, to: number): Tensor {
    return this.part(x, [0, from], [0, to], 1);
  }

  /** Lines [from, to) of bytes [rows, columns]. */
  lines(x: Tensor, from: number, to: number): Tensor {
    return this.part(x, [from, 0], [to, 0], 2);
  }

  /** @param whole 1 << the dimension of which all is taken */
  private part(x: Tensor, from: number[], to: number[], whole: number): Tensor {
    const masks = [attribute.int('begin_mask', whole), attribute.int('end_mask', whole)];
    const ends = [from, to, [1, 1]].map((each) => tf.tensor1d(each, 'int32'));
    return this.one('StridedSlice', [of('T', uint8), of('Index', int32), ...masks], [x, ...ends]);
  }

  /** The same bits as another type; a wider one takes the last dimension, a narrower one adds one. */
  bitcast(x: Tensor, from: number, to: number): Tensor {
    return this.one('Bitcast', [of('T', from), of('type', to)], [x]);
  }

  /** x & mask, of bytes */
  and(x: Tensor, mask: number): Tensor {
    return this.one('BitwiseAnd', [of('T', uint8)], [x, this.small([mask], [])]);
  }

  /** x >> bits, of bytes; a list of them of a shape is broadcast */
  shifted(x: Tensor, bits: number[], shape: number[] = []): Tensor {
    return this.one('RightShift', [of('T', uint8)], [x, this.small(bits, shape)]);
  }

  /** Bytes one after the other along an axis. */
  joined(parts: Tensor[], axis: number): Tensor {
    const attributes = [attribute.int('N', parts.length), of('T', uint8), of('Tidx', int32)];
    return this.one('ConcatV2', attributes, [...parts, tf.scalar(axis, 'int32')]);
  }

  /** As f32. */
  numbers(x: Tensor, from: number): Tensor {
    return this.one('Cast', [of('SrcT', from), of('DstT', float)], [x]);
  }

  /** Rows of halves [rows, columns]; no device gathers bytes. */
  rows(x: Tensor, ids: Tensor): Tensor {
    const types = [of('Tparams', half), of('Tindices', int32), of('Taxis', int32)];
    return this.one('GatherV2', [attribute.int('batch_dims', 0), ...types], [x, ids, tf.scalar(0, 'int32')]);
  }

  /** Few bytes of ours. */
  private small(values: number[], shape: number[]): Tensor {
    return this.one('Cast', [of('SrcT', int32), of('DstT', uint8)], [tf.tensor(values, shape, 'int32')]);
  }

  private one(operation: string, attributes: Attribute[], inputs: Tensor[]): Tensor {
    const { binding } = this.backend;
    const [made] = binding.executeOp(operation, attributes, this.backend.getInputTensorIds(inputs), 1);
    const { id, shape, dtype } = made!;
    // tfjs's own way from the binding to a tensor knows few types.
    const dataId = {};
    this.backend.tensorMap.set(dataId, { id, shape, dtype, values: null, refCount: 1 });
    return tf.engine().makeTensorFromDataId(dataId, shape, dtype === float ? 'float32' : 'int32', this.backend);
  }
}

const of = (name: string, type: number) => attribute.type(name, type);
