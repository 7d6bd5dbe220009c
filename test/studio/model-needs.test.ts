import { expect, it } from 'vitest';
import { fitsIn, trainingBytes } from '../../src-main/studio/library/needs.ts';

const GiB = 2 ** 30;

it('what a model needs follows from its file, in which frozen weights stay: 7 billion in four bits fit 16 GB, in f32 they don’t', () => {
  const parameters = 6.74e9;
  const fourBits = trainingBytes(parameters, (parameters * 18) / 32);
  // docs/generation.md: a step of that shape peaks at 5.92 GiB
  expect(Math.abs(fourBits / (5.92 * GiB) - 1)).toBeLessThan(0.1);
  expect(fitsIn(fourBits, 16e9)).toBe('yes');
  expect(fitsIn(fourBits, 8e9)).toBe('tight');
  expect(fitsIn(fourBits, 4 * GiB)).toBe('no');
  expect(fitsIn(trainingBytes(parameters, parameters * 4), 16e9)).toBe('no');
});
