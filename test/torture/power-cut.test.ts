import fs from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import { readAdapter } from '../../src-main/trainer/adapter-folder.ts';
import { readLastCheckpoint } from '../../src-main/trainer/checkpoints.ts';
import { startTrainer } from '../../src-main/trainer/supervisor.ts';
import { resultOf, smallRun, temporary } from '../trainer/support.ts';
import { recordRun, replay } from './power-cut.ts';
import { random } from './random.ts';

const work = temporary('power-cut');
const [run, left] = [path.join(work, 'run'), path.join(work, 'left')];

describe('a run whose power goes, after any of its writes', () => {
  const training = { steps: 12, evalEvery: 4, checkpointEvery: 4, patience: 5 };
  const recipe = smallRun(work, { training });
  let changes: Awaited<ReturnType<typeof recordRun>>;
  beforeAll(async () => void (changes = await recordRun(recipe, run, path.join(work, 'record'))));

  it('has every checkpoint that it told of, whole, with its telemetry, and one adapter or none', async () => {
    const kinds = new Set(changes.map(({ change }) => change));
    expect([...kinds]).toEqual(expect.arrayContaining(['append', 'sync', 'rename', 'told', 'done']));
    const damaged: string[] = [];
    for (let count = 0; count <= changes.length; count++)
      for (const torn of [false, true]) {
        const { told, isDone } = replay(changes, count, torn, run, left);
        const checkpoint = await readLastCheckpoint(path.join(left, 'checkpoints'), (line) => damaged.push(line));
        expect(checkpoint?.step ?? 0).toBeGreaterThanOrEqual(told ?? 0);
        for (const [name, bytes] of Object.entries(checkpoint?.telemetryBytes ?? {}))
          expect(fs.statSync(path.join(left, `${name}.jsonl`)).size).toBeGreaterThanOrEqual(bytes);
        const adapter = await readAdapter(left).catch((error: Error) => error);
        if (adapter instanceof Error) expect(adapter.message).toMatch(/holds no adapter/);
        if (isDone)
          expect(adapter).toMatchObject({ description: { metrics: { steps: expect.any(Number) as number } } });
      }
    // Renamed when it is whole: no checkpoint that has its name is ever damaged.
    expect(damaged).toEqual([]);
  });

  it('ends in the same numbers when it is resumed', async () => {
    const whole = resultOf(run);
    const next = random(7);
    const steps = changes.findIndex(({ change }) => change === 'told');
    for (let trial = 0; trial < 3; trial++) {
      const count = steps + Math.floor(next() * (changes.length - steps));
      replay(changes, count, next() < 0.5, run, left);
      // Of a checkpoint by the time, whose step none of the resumed run's own has.
      fs.mkdirSync(path.join(left, 'checkpoints', 'step-00000003.partial'), { recursive: true });
      const end = await startTrainer({ recipe: path.join(left, 'recipe.yaml'), folder: left, resume: true }).ended;
      expect(end).toMatchObject({ outcome: expect.stringMatching(/finished|early/) as string });
      expect(resultOf(left)).toEqual(whole);
      expect(fs.readdirSync(path.join(left, 'checkpoints'))).toEqual([expect.stringMatching(/^step-\d{8}$/)]);
    }
  });
});
