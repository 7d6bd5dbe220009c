import { beforeAll, it } from 'vitest';
import { openEngine } from '../../src-main/engine/index.ts';
import { checkFilter, SAME, type FilterCase } from './filters.ts';

beforeAll(async () => void (await openEngine('tensorflow')));

/**
 * [in the file, in memory], [pictures, height, width, in, out], the way: many places and few, more columns than go together, odd sizes; tiles
 * of 4 x 4 that stick out, of several pictures in one band, and more of them than are at their points together
 */
const CASES: FilterCase[] = [
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

it.each(CASES)('a filter in %j convolves pictures %j as TensorFlow does, %j, and back', (...all) => checkFilter(all));
