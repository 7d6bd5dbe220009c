import fs from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { parseRecipe } from '../../src-main/recipe/recipe.ts';
import { train } from '../../src-main/trainer/train.ts';
import { smallRun, temporary, withoutTime } from './support.ts';

interface Measured {
  step: number;
  evalLoss: number;
  evalError: number;
  evalExamples: number;
}

it('measures the model before its first update: of a run that learns nothing every later measure is the same', async () => {
  const work = temporary('start');
  const file = smallRun(work, { training: { steps: 2, evalEvery: 1, learningRate: 1e-30 } });
  const folder = path.join(work, 'run');
  await train(parseRecipe(fs.readFileSync(file, 'utf8'), file), folder);
  const { step, ...measured } = JSON.parse(fs.readFileSync(path.join(folder, 'start.json'), 'utf8')) as Measured;
  expect(step).toBe(0);
  expect(measured).toEqual({ evalLoss: expect.any(Number), evalError: expect.any(Number), evalExamples: 8 });
  const later = withoutTime(path.join(folder, 'metrics.jsonl')) as Measured[];
  const measures = later.map(({ evalLoss, evalError, evalExamples }) => ({ evalLoss, evalError, evalExamples }));
  expect(measures).toEqual([measured, measured]);
  fs.rmSync(work, { recursive: true });
});
