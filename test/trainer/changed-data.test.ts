import fs from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import { inMemory } from '../data/support/examples.ts';
import { DataOrder } from '../../src-main/data/order.ts';
import type { RunEvent } from '../../src-main/trainer/events.ts';
import { evaluated } from '../../src-main/data/held-out.ts';
import { acceptChangedData } from '../../src-main/trainer/run-datasets.ts';
import { startTrainer } from '../../src-main/trainer/supervisor.ts';
import { resultOf, smallRun, temporary, writeTokens } from './support.ts';

const work = temporary('changed-data');
const recipe = smallRun(work);
const data = path.join(work, 'data.jsonl');

const run = (folder: string, resume: boolean, onEvent?: (event: RunEvent) => void) =>
  startTrainer({ recipe: resume ? path.join(folder, 'recipe.yaml') : recipe, folder, resume, onEvent });

/** A run that is paused after its first checkpoint. */
async function paused(name: string): Promise<string> {
  const folder = path.join(work, name);
  const trainer = run(folder, false, (event) => {
    if (event.kind === 'checkpoint' && event.step === 6) trainer.pause();
  });
  expect(await trainer.ended).toMatchObject({ outcome: 'paused' });
  return folder;
}

it('a run is not resumed on other data unless it is told to, and is where its file is put back', async () => {
  const folder = await paused('run');
  const whole = path.join(work, 'whole');
  expect(await run(whole, false).ended).toMatchObject({ outcome: 'finished' });
  const checkpoints = () => fs.readdirSync(path.join(folder, 'checkpoints'));
  const before = checkpoints();

  writeTokens(data, 41);
  const refused = await run(folder, true).ended;
  expect(refused).toMatchObject({ outcome: 'failed', forPeople: true });
  const { message } = refused as { message: string };
  expect(message).toContain(`${data} has changed since this run began`);
  expect(message).toContain('--accept-changed-data');
  expect(checkpoints()).toEqual(before);

  const copy = path.join(work, 'accepted');
  fs.cpSync(folder, copy, { recursive: true });
  await acceptChangedData(copy);
  const lines: string[] = [];
  const accepted = run(copy, true, (event) => void (event.kind === 'log' && lines.push(event.line)));
  expect(await accepted.ended).toMatchObject({ outcome: 'finished' });
  expect(lines.join('\n')).toContain(`${data} has changed since this run began: it goes on with the changed data`);

  // The same content in a new file is the same data.
  fs.rmSync(data);
  writeTokens(data);
  expect(await run(folder, true).ended).toMatchObject({ outcome: 'finished' });
  expect(resultOf(folder)).toEqual(resultOf(whole));
});

it('an order goes on where its data has become less than was taken of it', () => {
  const order = new DataOrder([5], [1], 1, true, { epoch: 2, taken: 9 });
  expect(order.next(5).sort()).toEqual([0, 1, 2, 3, 4]);
  expect(order.state).toEqual({ epoch: 3, taken: 5 });
});

it('evaluations are of so many held-out examples at most, by seed always the same', () => {
  const heldOut = inMemory(Array.from({ length: 500 }, (_, i) => i));
  const chosen = (most: number | 'all', seed = 0) => [...evaluated(heldOut, most, seed)];
  expect(chosen(200)).toHaveLength(200);
  expect(new Set(chosen(200)).size).toBe(200);
  expect(chosen(200)).toEqual([...chosen(200)].sort((a, b) => a - b));
  expect(chosen(200)).toEqual(chosen(200));
  expect(chosen(200, 1)).not.toEqual(chosen(200));
  // Drawn from all of them, not the first ones.
  expect(Math.max(...chosen(200))).toBeGreaterThan(400);
  for (const most of ['all', 500, 501] as const) expect(chosen(most)).toEqual([...heldOut]);
});
