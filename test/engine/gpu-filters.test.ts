import * as tf from '@tensorflow/tfjs-core';
import type { Tensor4D } from '@tensorflow/tfjs-core';
import { beforeAll, expect, it } from 'vitest';
import { stepCompiler } from '../../src-main/engine/compiler.ts';
import { frozenConvolution } from '../../src-main/engine/convolution.ts';
import { largestDifference } from '../models/support.ts';
import { openGpuConfiguration } from '../support/gpu-configuration.ts';
import { checkFilter, loadedFilter, SAME, thereAndBack, type FilterCase } from './filters.ts';

beforeAll(async () => void (await openGpuConfiguration()));

/** In place and by halves, with rows and columns of which one is odd and one even. */
const CASES: FilterCase[] = [
  [['f16', 'f16'], [2, 17, 19, 40, 70], SAME],
  [['bf16', 'bf16'], [3, 5, 4, 16, 4], SAME],
  [['f16', 'f16'], [2, 9, 8, 33, 65], { padding: [1, 1], stride: 2 }],
  [['bf16', 'bf16'], [1, 8, 6, 64, 64], { padding: [0, 1], stride: 2 }],
];

it.each(CASES)('a filter that lies in %j as a GPU holds it convolves %j as one in f32 does, %j, and back', (...all) =>
  checkFilter(all),
);

it.each(CASES)('so does one in %j in a compiled step, of %j, %j', async (...all) => {
  const [, [pictures, height, width, channels], walk] = all;
  const { matrix, kernel, written } = await loadedFilter(all);
  const x = tf.randomNormal<tf.Rank.R4>([pictures, height, width, channels], 0, 1, 'float32', 1);
  const { shape } = frozenConvolution(x, written as Tensor4D, walk);
  const along = tf.randomNormal<tf.Rank.R4>(shape, 0, 1, 'float32', 2);
  const expected = thereAndBack(written as Tensor4D, walk, x, along).map((tensor) => tensor.dataSync() as Float32Array);
  const given = [x, along].map((tensor) => tensor.dataSync() as Float32Array);
  const graph = await stepCompiler()!.compile({
    ...{ feeds: [x, along], state: [], precision: 'f32', owner: matrix },
    step: () => ({ outputs: thereAndBack({ matrix, kernel }, walk, x, along), updates: [] }),
  });
  const found = await graph.run(given);
  expected.forEach((wanted, i) => expect(largestDifference(found[i]!, wanted)).toBeLessThan(5e-5));
  matrix.dispose();
});
