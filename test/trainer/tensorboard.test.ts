import fs from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { parseRecipe } from '../../src-main/recipe/recipe.ts';
import type { MetricsLine } from '../../src-main/trainer/telemetry.ts';
import { TensorBoardFile } from '../../src-main/trainer/tensorboard.ts';
import { train } from '../../src-main/trainer/train.ts';
import { packagesOf, runPython } from '../support/python.ts';
import { smallRun, temporary } from './support.ts';

const READER = path.join(import.meta.dirname, 'read_events.py');

/** What the real tensorboard reads there. */
async function read(folder: string): Promise<Record<string, [number, number][]>> {
  const packages = await packagesOf('requirements-tensorboard.txt');
  return JSON.parse(await runPython(READER, [path.join(folder, 'tensorboard')], packages)) as never;
}

it('writes a run’s metrics as TensorBoard reads them, and takes back what a run did behind its checkpoint', async () => {
  const work = temporary('tensorboard');
  const file = smallRun(work, { training: { steps: 6, evalEvery: 3, tensorboard: true } });
  const folder = path.join(work, 'run');
  await train(parseRecipe(fs.readFileSync(file, 'utf8'), file), folder);
  const text = fs.readFileSync(path.join(folder, 'metrics.jsonl'), 'utf8');
  const lines = text
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as MetricsLine);
  const events = await read(folder);
  const near = (values: [number, number][], wanted: [number, number][]) => {
    expect(values.map(([step]) => step)).toEqual(wanted.map(([step]) => step));
    values.forEach(([, value], i) => expect(value / wanted[i]![1]).toBeCloseTo(1, 6));
  };
  near(
    events['loss/train']!,
    lines.map(({ step, loss }) => [step, loss]),
  );
  near(
    events['learning rate']!,
    lines.map(({ step, learningRate }) => [step, learningRate]),
  );
  near(
    events['loss/held out']!,
    lines.flatMap(({ step, evalLoss }) => (evalLoss === undefined ? [] : [[step, evalLoss]])),
  );
  expect(events['loss/held out']).toHaveLength(2);

  // A run that goes on from step 4 says steps 5 and 6 once more.
  const again = new TensorBoardFile(folder, (message) => expect.unreachable(message));
  again.take({ kind: 'started', steps: 7, step: 4, heads: 1, engine: 'tensorflow', unit: 'tokens' });
  for (const step of [5, 6, 300]) again.take({ kind: 'metrics', line: { ...lines[0]!, step, loss: step } });
  const losses = (await read(folder))['loss/train']!;
  expect(losses.map(([step]) => step)).toEqual([1, 2, 3, 4, 5, 6, 300]);
  expect(losses.slice(-3).map(([, loss]) => loss)).toEqual([5, 6, 300]);
  fs.rmSync(work, { recursive: true });
});

it('says once that its files can’t be written, and throws nothing', () => {
  const work = temporary('tensorboard-none');
  const blocked = path.join(work, 'run');
  fs.writeFileSync(blocked, '');
  const said: string[] = [];
  const board = new TensorBoardFile(blocked, (message) => said.push(message));
  board.take({ kind: 'started', steps: 2, step: 1, heads: 1, engine: 'tensorflow', unit: 'tokens' });
  expect(said).toHaveLength(1);
  expect(said[0]).toMatch(/TensorBoard can't be written/);
  fs.rmSync(work, { recursive: true });
});
