import fs from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { measure } from '../../src-main/trainer/measure.ts';
import { openForRunning } from '../../src-main/trainer/opened-model.ts';
import { parseRecipe } from '../../src-main/recipe/recipe.ts';
import { train } from '../../src-main/trainer/train.ts';
import { smallRun, temporary, TINY_MODEL, withoutTime, writeTokens } from './support.ts';

it('judges a run by the split that came with its data: the loss is what a measure on that split says', async () => {
  const work = temporary('held-out');
  const data = path.join(work, 'data');
  fs.mkdirSync(data);
  writeTokens(path.join(data, 'train.jsonl'), 24);
  // Rows that train doesn't have: the last of a longer list.
  const lines = fs
    .readFileSync(writeTokens(path.join(work, 'longer.jsonl'), 31), 'utf8')
    .trim()
    .split('\n');
  fs.writeFileSync(path.join(data, 'validation.jsonl'), `${lines.slice(24).join('\n')}\n`);
  const dataset = [{ path: data, heldOut: 'validation' }];
  const file = smallRun(work, { dataset, training: { steps: 6, evalSplit: 0.5, evalEvery: 3, checkpointEvery: 6, packing: false } }); // prettier-ignore
  const folder = path.join(work, 'run');
  await train(parseRecipe(fs.readFileSync(file, 'utf8'), file), folder);
  const start = JSON.parse(fs.readFileSync(path.join(folder, 'start.json'), 'utf8')) as { evalLoss: number };
  const records = withoutTime(path.join(folder, 'metrics.jsonl')) as { evalLoss?: number }[];
  const measured = async (adapter: string | undefined, split: string) => {
    const opened = await openForRunning({ model: TINY_MODEL, adapter, engine: 'tensorflow' }, () => {});
    try {
      return await measure(opened, { path: data, split }, { sequenceLength: 32 });
    } finally {
      await opened.close();
    }
  };
  const before = await measured(undefined, 'validation');
  expect(before.examples).toBe(7);
  expect(start.evalLoss).toBeCloseTo(before.loss, 5);
  const after = await measured(folder, 'validation');
  expect(records.at(-1)!.evalLoss).toBeCloseTo(after.loss, 5);
  expect(after.loss).not.toBeCloseTo(before.loss, 3);
  // The other split's loss is another one, so that reading the wrong rows would show.
  expect((await measured(folder, 'train')).loss).not.toBeCloseTo(after.loss, 3);
  fs.rmSync(work, { recursive: true });
});
