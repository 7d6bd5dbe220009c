import fs from 'node:fs';
import os from 'node:os';
import path from 'node:path';
import { expect, it } from 'vitest';
import { writeSeeingModel } from '../bench/make-seeing.ts';
import { measurePlan } from '../bench/measure-plan.ts';

// two corners of npm run bench:plan's grid, in which time is not judged: other tests run beside this one, and few steps do
it.each([
  { precision: 'f32' as const, rows: 1, length: 128, recompute: false },
  { precision: 'bf16' as const, rows: 2, length: 128, recompute: 1 },
])('predicts the peak of a process that trains within 10 % ($precision, $recompute)', async (shape) => {
  const { plannedBytes, peakBytes } = await measurePlan({ model: 'smollm2-135m', ...shape }, 1, 1);
  expect(Math.abs(plannedBytes / peakBytes - 1)).toBeLessThan(0.1);
});

// A tower of 65 million parameters: without it the plan would be a fifth too low.
it('counts what a model sees pictures with', async () => {
  const folder = fs.mkdtempSync(path.join(os.tmpdir(), 'effilora-seeing-plan-'));
  try {
    const tower = { hidden: 768, inner: 3072, layers: 8, heads: 12, imageSize: 384, patchSize: 16, scale: 4 };
    const model = writeSeeingModel(folder, tower);
    const shape = { model, precision: 'f32' as const, rows: 1, length: 128, pictures: 1, recompute: 1 };
    const { plannedBytes, peakBytes } = await measurePlan(shape, 1, 1);
    expect(Math.abs(plannedBytes / peakBytes - 1)).toBeLessThan(0.1);
  } finally {
    fs.rmSync(folder, { recursive: true });
  }
});
