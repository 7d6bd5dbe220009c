import fs from 'node:fs';
import path from 'node:path';
import { expect } from 'vitest';
import { parseRecipe } from '../../src-main/recipe/recipe.ts';
import { train } from '../../src-main/trainer/train.ts';
import { smallRun, temporary } from './support.ts';

/** Trains the tiny model and gives every step's loss, the held-out ones among them. */
export async function losses(
  run: { engine: string; training?: object; budget?: object },
  log: string[] = [],
): Promise<number[]> {
  const folder = temporary('webgpu');
  const file = smallRun(folder, { ...run, training: { steps: 2, evalEvery: 2, evalSplit: 4, ...run.training } });
  const values: number[] = [];
  await train(parseRecipe(fs.readFileSync(file, 'utf8'), file), path.join(folder, 'run'), {
    onEvent: (event) => {
      if (event.kind === 'log') log.push(event.line);
      if (event.kind !== 'metrics') return;
      values.push(event.line.loss);
      if (event.line.evalLoss !== undefined) values.push(event.line.evalLoss);
    },
  });
  return values;
}

/** The largest relative difference. */
export const furthest = (ours: number[], theirs: number[]) => {
  expect(ours.length).toBe(theirs.length);
  return Math.max(...ours.map((value, i) => Math.abs(value / theirs[i]! - 1)));
};
