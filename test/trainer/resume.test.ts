import fs from 'node:fs';
import path from 'node:path';
import { beforeAll, describe, expect, it } from 'vitest';
import type { RunEvent } from '../../src-main/trainer/events.ts';
import { startTrainer } from '../../src-main/trainer/supervisor.ts';
import { inEnvironment, trainerAt, type Moment } from '../support/trainer-moment.ts';
import { resultOf, smallRun, temporary } from './support.ts';

const work = temporary('resume');
const recipe = smallRun(work, { method: { dropout: 0.1 } });

/** Runs a trainer until it ends; `onEvent` sees every event. */
const run = (folder: string, resume: boolean, onEvent?: (event: RunEvent) => void) =>
  startTrainer({ recipe, folder, resume, onEvent }).ended;

/** Runs a trainer that is killed at that moment. */
const runKilled = (folder: string, resume: boolean, moment: Moment) =>
  inEnvironment(trainerAt(moment, 'SIGKILL').env, () => run(folder, resume));

describe('a run', () => {
  let whole: ReturnType<typeof resultOf>;
  beforeAll(async () => {
    expect(await run(path.join(work, 'whole'), false)).toMatchObject({ outcome: 'finished' });
    whole = resultOf(path.join(work, 'whole'));
  });

  it('learns, freezes heads and evaluates', () => {
    const losses = whole.metrics as { step: number; loss: number; evalLoss?: number }[];
    expect(losses.map(({ step }) => step)).toEqual(Array.from({ length: 20 }, (_, i) => i + 1));
    expect(losses.at(-1)!.loss).toBeLessThan(losses[0]!.loss);
    expect(losses.filter(({ evalLoss }) => evalLoss !== undefined).map(({ step }) => step)).toEqual([5, 10, 15, 20]);
    const heads = whole.heads as { frozen: string[] }[];
    expect(heads.map(({ frozen }) => frozen.length)).toEqual([0, 0, 0, 0, ...new Array<number>(16).fill(21)]);
  });

  /** of a checkpoint's files the last one */
  const opening = '/state.json';
  it.each<[string, Moment]>([
    // all of it a second time, bit for bit
    ['before the first checkpoint', { kind: 'metrics', step: 3 }],
    ['while the first checkpoint is written', { kind: 'checkpointing', step: 6, opening }],
    ['after a checkpoint', { kind: 'checkpoint', step: 12 }],
    ['between checkpoints, heads frozen', { kind: 'metrics', step: 17 }],
    ['while the last checkpoint is written', { kind: 'checkpointing', step: 20, opening }],
  ])('killed %s and resumed ends as if it had never been', async (name, moment) => {
    const folder = path.join(work, name.replaceAll(' ', '-'));
    const end = await runKilled(folder, false, moment);
    const isHalfWritten = fs.readdirSync(path.join(folder, 'checkpoints')).some((file) => file.endsWith('.partial'));
    expect(isHalfWritten).toBe(moment.opening !== undefined);
    expect(end).toMatchObject({ outcome: 'failed', message: expect.stringMatching(/SIGKILL.*--resume/) as string });
    expect(await run(folder, true)).toMatchObject({ outcome: 'finished' });
    expect(resultOf(folder)).toEqual(whole);
  });

  it('killed twice, with its newest checkpoint damaged, goes on from the one before', async () => {
    const folder = path.join(work, 'twice');
    await runKilled(folder, false, { kind: 'metrics', step: 8 });
    await runKilled(folder, true, { kind: 'metrics', step: 14 });
    const checkpoints = path.join(folder, 'checkpoints');
    expect(fs.readdirSync(checkpoints).filter((name) => !name.includes('partial'))).toEqual([
      'step-00000006',
      'step-00000012',
    ]);
    const moments = path.join(checkpoints, 'step-00000012', 'optimizer.safetensors');
    const bytes = fs.readFileSync(moments);
    bytes[bytes.length - 5]! ^= 1;
    fs.writeFileSync(moments, bytes);
    const logs: string[] = [];
    let first = 0;
    const end = await run(folder, true, (event) => {
      if (event.kind === 'log') logs.push(event.line);
      if (event.kind === 'metrics') first ||= event.line.step;
    });
    expect(end).toMatchObject({ outcome: 'finished' });
    expect(first).toBe(7);
    expect(logs.join('\n')).toMatch(/step-00000012 is damaged .*checksum/);
    expect(resultOf(folder)).toEqual(whole);
  });

  it('paused and resumed ends as if it had never been, and loses no step', async () => {
    const folder = path.join(work, 'paused');
    const held = trainerAt({ kind: 'metrics', step: 8 }, 'SIGSTOP');
    const trainer = inEnvironment(held.env, () => startTrainer({ recipe, folder, resume: false }));
    await held.standing();
    trainer.pause();
    await held.goOn();
    const end = await trainer.ended;
    expect(end).toMatchObject({ outcome: 'paused' });
    expect(fs.existsSync(path.join(folder, 'adapter.safetensors'))).toBe(false);
    const steps: number[] = [];
    await run(folder, true, (event) => event.kind === 'metrics' && steps.push(event.line.step));
    expect(steps[0]).toBe(end.outcome === 'failed' ? -1 : end.summary.step + 1);
    expect(resultOf(folder)).toEqual(whole);
  });
});

it.each([
  ['in integers', { training: { precision: 'int8' } }],
  ['of the method vera', { method: { name: 'vera', rank: 16, dropout: 0.1 } }],
  [
    'of the method adalora',
    { method: { name: 'adalora', rank: 6, reducer: {}, adalora: { targetRank: 3, tInit: 1, tFinal: 1, deltaT: 2 } } },
  ],
] as [string, { training?: object; method?: object }][])(
  '%s, too, a run that is killed and resumed ends as if it had never been',
  async (_, changes) => {
    const folder = temporary('resume-other');
    const recipe = smallRun(folder, { ...changes, training: { steps: 8, checkpointEvery: 4, ...changes.training } });
    const start = (name: string, resume: boolean) =>
      startTrainer({ recipe, folder: path.join(folder, name), resume }).ended;
    expect(await start('whole', false)).toMatchObject({ outcome: 'finished' });
    const held = trainerAt({ kind: 'metrics', step: 6 }, 'SIGKILL');
    expect(await inEnvironment(held.env, () => start('killed', false))).toMatchObject({ outcome: 'failed' });
    expect(await start('killed', true)).toMatchObject({ outcome: 'finished' });
    expect(resultOf(path.join(folder, 'killed'))).toEqual(resultOf(path.join(folder, 'whole')));
  },
);
