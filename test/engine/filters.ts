import fs from 'node:fs';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { expect } from 'vitest';
import { flatFilter, frozenConvolution, type FrozenFilter, type Walk } from '../../src-main/engine/convolution.ts';
import { packedKernels } from '../../src-main/engine/frozen.ts';
import { PackedMatrix } from '../../src-main/engine/packed.ts';
import { randomStream } from '../../src-main/engine/random.ts';
import { HALF, toBfloat, toHalf, widenBfloat } from '../../src-main/models/floats.ts';
import { GGML_TYPES, type GgmlType } from '../../src-main/models/gguf/types.ts';
import { largestDifference } from '../models/support.ts';
import { temporary } from '../trainer/support.ts';

/** A filter in its file, in memory; pictures, height, width, channels that go in and come out; and its way. */
export type FilterCase = [
  [inFile: 'f32' | 'f16' | 'bf16', held: GgmlType],
  [pictures: number, height: number, width: number, channels: number, out: number],
  Walk,
];

export const SAME: Walk = { padding: [1, 1], stride: 1 };
const id = (type: GgmlType) => GGML_TYPES[type].id;

/** Seeded weights [out, in, 3, 3] as a file of this type has them, and the numbers that they are then. */
function filterFile(
  type: 'f32' | 'f16' | 'bf16',
  out: number,
  channels: number,
): { file: string; values: Float32Array } {
  const random = randomStream(7, `${type} ${out} ${channels}`);
  const drawn = Float32Array.from({ length: out * channels * 9 }, () => random() - 0.5);
  const bits = { f32: drawn, f16: Uint16Array.from(drawn, toHalf), bf16: Uint16Array.from(drawn, toBfloat) }[type];
  const file = path.join(temporary('filters'), `${type}-${out}-${channels}`);
  fs.writeFileSync(file, Buffer.concat([Buffer.alloc(3), Buffer.from(bits.buffer)]));
  const values = { f32: drawn, f16: Float32Array.from(bits, (bit) => HALF[bit]!), bf16: Float32Array.from(bits, widenBfloat) }; // prettier-ignore
  return { file, values: values[type] };
}

/** A matrix of a filter's file, and the filter's own numbers [kernel, kernel, in, out]. */
export async function loadedFilter([[inFile, held], [, , , channels, out]]: FilterCase) {
  const { file, values } = filterFile(inFile, out, channels);
  const source = { path: file, offset: 3, format: id(inFile), rows: out, width: 9 * channels, places: 9 };
  const matrix = await PackedMatrix.load(packedKernels()!, source, id(held));
  return { matrix, kernel: 3, written: tf.transpose(tf.tensor4d(values, [out, channels, 3, 3]), [2, 3, 1, 0]) };
}

/** What comes out of pictures x, and of what is to be multiplied with that the gradient to x. */
export const thereAndBack = (filter: FrozenFilter, walk: Walk, x: Tensor4D, along: Tensor4D): [Tensor, Tensor] => [
  frozenConvolution(x, filter, walk),
  tf.grad((y: Tensor) => tf.sum(tf.mul(frozenConvolution(y as Tensor4D, filter, walk), along)))(x),
];

/** Holds a packed filter to TensorFlow's own convolution with its numbers, and back. */
export async function checkFilter(all: FilterCase): Promise<void> {
  const [[inFile, held], [pictures, height, width, channels], walk] = all;
  const { matrix, kernel, written } = await loadedFilter(all);
  const packed = { matrix, kernel };
  tf.tidy(() => {
    const own = flatFilter(packed);
    const rounding = held === inFile || held === 'f32' ? 0 : 0.005;
    expect(largestDifference(own.dataSync(), written.dataSync())).toBeLessThanOrEqual(rounding);
    const plain = tf.reshape<tf.Rank.R4>(own, written.shape as Tensor4D['shape']);
    const x = tf.randomNormal<tf.Rank.R4>([pictures, height, width, channels], 0, 1, 'float32', 1);
    const { shape } = frozenConvolution(x, plain, walk);
    const along = tf.randomNormal<tf.Rank.R4>(shape, 0, 1, 'float32', 2);
    const expected = thereAndBack(plain, walk, x, along);
    thereAndBack(packed, walk, x, along).forEach((found, i) =>
      expect(largestDifference(found.dataSync(), expected[i]!.dataSync())).toBeLessThan(5e-5),
    );
  });
  written.dispose();
  matrix.dispose();
}
