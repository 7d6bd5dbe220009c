import fs from 'node:fs';
import path from 'node:path';
import { expect, it } from 'vitest';
import type { MetricsLine } from '../../src-main/trainer/telemetry.ts';
import { startTrainer } from '../../src-main/trainer/supervisor.ts';
import { smallRun, temporary } from './support.ts';

it('takes no more than 2 % more memory at step 500 than at step 50', async () => {
  const work = temporary('memory');
  const recipe = smallRun(work, { training: { steps: 500, evalEvery: 10, checkpointEvery: 25 } });
  const folder = path.join(work, 'run');
  expect(await startTrainer({ recipe, folder, resume: false }).ended).toMatchObject({ outcome: 'finished' });
  const lines = fs.readFileSync(path.join(folder, 'metrics.jsonl'), 'utf8').trim().split('\n');
  const memory = (step: number) => (JSON.parse(lines[step - 1]!) as MetricsLine).memory;
  expect(memory(500) / memory(50)).toBeLessThan(1.02);
});
