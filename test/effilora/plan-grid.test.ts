import { expect, it } from 'vitest';
import { measurePlan } from '../bench/measure-plan.ts';

// two corners of npm run bench:plan's grid, in which time is not judged: other tests run beside this one, and few steps do
it.each([
  { precision: 'f32' as const, rows: 1, length: 128, recompute: false },
  { precision: 'bf16' as const, rows: 2, length: 128, recompute: 1 },
])('predicts the peak of a process that trains within 10 % ($precision, $recompute)', async (shape) => {
  const { plannedBytes, peakBytes } = await measurePlan({ model: 'smollm2-135m', ...shape }, 1, 1);
  expect(Math.abs(plannedBytes / peakBytes - 1)).toBeLessThan(0.1);
});
