import fs from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { closeRun, openRun } from '../../src-main/trainer/prepare.ts';
import { parseRecipe } from '../../src-main/recipe/recipe.ts';
import { train } from '../../src-main/trainer/train.ts';
import { smallRun, temporary, withoutTime } from './support.ts';

const work = temporary('budget');

function recipeWith(memoryBytes: number | undefined, training: object = {}) {
  const budget = memoryBytes === undefined ? {} : { budget: { memoryBytes } };
  const file = smallRun(work, { training: { steps: 4, ...training }, ...budget });
  return parseRecipe(fs.readFileSync(file, 'utf8'), file);
}

it.each([
  [undefined, {}, 'auto', false],
  [64e9, {}, false, false],
  [1e6, {}, 1, true],
  [1e6, { recompute: false }, false, false],
  [64e9, { recompute: 2 }, 2, false],
] as const)('with a budget of %s bytes and %o computes %s blocks again', async (bytes, training, expected, says) => {
  const lines: string[] = [];
  const run = await openRun(recipeWith(bytes, training), (line) => lines.push(line));
  expect(run.step.options.recompute).toBe(expected);
  expect(lines.some((line) => line.startsWith('Blocks are computed again in backward'))).toBe(says);
  await closeRun(run);
});

it('trains to the same numbers either way', async () => {
  const losses = async (bytes: number) => {
    const folder = path.join(work, `run-${bytes}`);
    await train(recipeWith(bytes), folder);
    return withoutTime(path.join(folder, 'metrics.jsonl')).map((line) => (line as { loss: number }).loss);
  };
  const [whole, again] = [await losses(64e9), await losses(1e6)];
  expect(whole).toHaveLength(4);
  again.forEach((loss, i) => expect(loss).toBeCloseTo(whole[i]!, 5));
});
