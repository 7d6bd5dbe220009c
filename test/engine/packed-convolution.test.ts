import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import type { Tensor, Tensor4D } from '@tensorflow/tfjs-core';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { flatFilter, frozenConvolution, type FrozenFilter, type Walk } from '../../src-main/engine/convolution.ts';
import { packedKernels } from '../../src-main/engine/frozen.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { PackedMatrix } from '../../src-main/engine/packed.ts';
import { HALF, toBfloat, toHalf, widenBfloat } from '../../src-main/models/floats.ts';
import { GGML_TYPES, type GgmlType } from '../../src-main/models/gguf/types.ts';
import { randomStream } from '../../src-main/engine/random.ts';
import { largestDifference } from '../models/support.ts';

const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-filters-'));
afterAll(() => fs.rmSync(folder, { recursive: true }));
beforeAll(async () => void (await openEngine('tensorflow')));

/** Seeded weights [out, in, 3, 3] as a file of this type has them, and the numbers that they are then. */
function filterFile(
  type: 'f32' | 'f16' | 'bf16',
  out: number,
  channels: number,
): { file: string; values: Float32Array } {
  const random = randomStream(7, `${type} ${out} ${channels}`);
  const drawn = Float32Array.from({ length: out * channels * 9 }, () => random() - 0.5);
  const bits = { f32: drawn, f16: Uint16Array.from(drawn, toHalf), bf16: Uint16Array.from(drawn, toBfloat) }[type];
  const file = path.join(folder, `${type}-${out}-${channels}`);
  fs.writeFileSync(file, Buffer.concat([Buffer.alloc(3), Buffer.from(bits.buffer)]));
  const values = { f32: drawn, f16: Float32Array.from(bits, (bit) => HALF[bit]!), bf16: Float32Array.from(bits, widenBfloat) }; // prettier-ignore
  return { file, values: values[type] };
}

const id = (type: GgmlType) => GGML_TYPES[type].id;
const SAME: Walk = { padding: [1, 1], stride: 1 };

/**
 * [in the file, in memory], [pictures, height, width, in, out], the way: many places and few, more columns than go together, odd sizes; tiles
 * of 4 x 4 that stick out, of several pictures in one band, and more of them than are at their points together
 */
const CASES: [['f32' | 'f16' | 'bf16', GgmlType], [number, number, number, number, number], Walk][] = [
  [['f32', 'f32'], [2, 17, 19, 40, 70], SAME],
  [['f16', 'f16'], [1, 32, 32, 160, 96], SAME],
  [['bf16', 'bf16'], [3, 5, 4, 16, 4], SAME],
  [['f32', 'bf16'], [1, 8, 8, 320, 900], SAME],
  [['f16', 'f32'], [2, 9, 7, 33, 65], { padding: [1, 1], stride: 2 }],
  [['f16', 'f16'], [1, 8, 6, 64, 64], { padding: [0, 1], stride: 2 }],
  [['f32', 'q8_0'], [2, 12, 12, 64, 48], SAME],
  [['f16', 'f16'], [3, 17, 19, 48, 80], SAME],
  [['bf16', 'bf16'], [3, 30, 22, 800, 96], SAME],
];

it.each(CASES)(
  'a filter in %j convolves pictures %j as TensorFlow does, %j, and back',
  async ([inFile, held], [pictures, height, width, channels, out], walk) => {
    // prettier-ignore
    const { file, values } = filterFile(inFile, out, channels);
    const source = { path: file, offset: 3, format: id(inFile), rows: out, width: 9 * channels, places: 9 };
    const matrix = await PackedMatrix.load(packedKernels()!, source, id(held));
    const packed = { matrix, kernel: 3 };
    tf.tidy(() => {
      const written = tf.transpose(tf.tensor4d(values, [out, channels, 3, 3]), [2, 3, 1, 0]);
      const own = flatFilter(packed);
      const rounding = held === inFile || held === 'f32' ? 0 : 0.005;
      expect(largestDifference(own.dataSync(), written.dataSync())).toBeLessThanOrEqual(rounding);
      const plain = tf.reshape<tf.Rank.R4>(own, written.shape);
      const x = tf.randomNormal<tf.Rank.R4>([pictures, height, width, channels], 0, 1, 'float32', 1);
      const expected = frozenConvolution(x, plain, walk);
      const along = tf.randomNormal<tf.Rank.R4>(expected.shape, 0, 1, 'float32', 2);
      const gradient = (filter: FrozenFilter) => tf.grad((y: Tensor) => tf.sum(tf.mul(frozenConvolution(y as Tensor4D, filter, walk), along)))(x); // prettier-ignore
      expect(largestDifference(frozenConvolution(x, packed, walk).dataSync(), expected.dataSync())).toBeLessThan(5e-5);
      expect(largestDifference(gradient(packed).dataSync(), gradient(plain).dataSync())).toBeLessThan(5e-5);
    });
    matrix.dispose();
  },
);
