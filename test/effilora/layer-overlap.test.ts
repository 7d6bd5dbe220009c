import { expect, it } from 'vitest';
import { basisOf, overlapOf } from '../bench/layer-overlap.ts';

it('the overlap of two spaces is the share of one that lies in the other, whatever spans them', () => {
  const space = (...rows: number[][]) => basisOf(rows.map((row) => Float32Array.from(row)));
  // The plane of x and y, by other vectors and by a third that adds nothing.
  const plane = space([1, 0, 0, 0], [0, 1, 0, 0]);
  expect(space([2, 1, 0, 0], [1, -3, 0, 0], [5, 5, 0, 0])).toHaveLength(2);
  expect(overlapOf(plane, space([2, 1, 0, 0], [1, -3, 0, 0]))).toBeCloseTo(1, 6);
  expect(overlapOf(plane, space([0, 0, 1, 0], [0, 0, 0, 2]))).toBeCloseTo(0, 6);
  // By hand: x is in it whole; of (0, 3, 4, 0) / 5 the share 9 / 25 is: (1 + 0.36) / 2.
  expect(overlapOf(plane, space([1, 0, 0, 0], [0, 3, 4, 0]))).toBeCloseTo(0.68, 6);
});
