import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { CheckpointClock } from '../../src-main/trainer/checkpoint-clock.ts';
import { startTrainer } from '../../src-main/trainer/supervisor.ts';
import { resultOf, smallRun, temporary } from './support.ts';

describe('checkpoints by the time', () => {
  it('are due after so many seconds without one, and take less than 2 % of the time however slow the disk', async () => {
    let now = 100;
    const clock = new CheckpointClock(600, () => now);
    const dueAfter = () => {
      const from = now;
      while (!clock.isDue) now += 1;
      return now - from;
    };
    expect(dueAfter()).toBe(600);
    await clock.write(() => Promise.resolve(void (now += 2)));
    expect(dueAfter()).toBe(600);
    await clock.write(() => Promise.resolve(void (now += 30)));
    expect(dueAfter()).toBe(30 * 50);
    // One by the steps, in between, counts as well.
    await clock.write(() => Promise.resolve(void (now += 1)));
    expect(dueAfter()).toBe(600);
  });

  it('change nothing of a run’s numbers, and one that has ended keeps its last one only', async () => {
    const work = temporary('clock');
    const steps: number[][] = [];
    for (const checkpointMinutes of [10, 1e-9]) {
      const training = { checkpointEvery: 1000, checkpointMinutes };
      const recipe = smallRun(work, { training });
      const seen: number[] = [];
      const folder = path.join(work, String(checkpointMinutes));
      const onEvent = (event: { kind: string; step?: number }) => event.kind === 'checkpoint' && seen.push(event.step!);
      expect(await startTrainer({ recipe, folder, resume: false, onEvent }).ended).toMatchObject({
        outcome: 'finished',
      });
      steps.push(seen);
      expect(fs.readdirSync(path.join(folder, 'checkpoints'))).toEqual(['step-00000020']);
    }
    expect(steps[0]).toEqual([20]);
    // Each takes its time, and the next one is due fifty times that later at the earliest.
    expect(steps[1]!.length).toBeGreaterThan(1);
    const [some, many] = [10, 1e-9].map((minutes) => resultOf(path.join(work, String(minutes))));
    expect(many).toEqual(some);
  });
});
