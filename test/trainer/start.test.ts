import fs from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { parseRecipe } from '../../src-main/trainer/recipe.ts';
import { train } from '../../src-main/trainer/train.ts';
import { smallRun, temporary, withoutTime } from './support.ts';

it('measures the model before its first update: of a run that learns nothing every later measure is the same', async () => {
  const work = temporary('start');
  const file = smallRun(work, { training: { steps: 2, evalEvery: 1, learningRate: 1e-30 } });
  const folder = path.join(work, 'run');
  await train(parseRecipe(fs.readFileSync(file, 'utf8'), file), folder);
  const start = JSON.parse(fs.readFileSync(path.join(folder, 'start.json'), 'utf8')) as {
    step: number;
    evalLoss: number;
  };
  expect(start).toEqual({ step: 0, evalLoss: expect.any(Number) as number });
  const later = withoutTime(path.join(folder, 'metrics.jsonl')) as { evalLoss: number }[];
  expect(later.map(({ evalLoss }) => evalLoss)).toEqual([start.evalLoss, start.evalLoss]);
  fs.rmSync(work, { recursive: true });
});
