import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, afterEach, beforeAll, describe, expect, it, vi } from 'vitest';
import { parse } from 'yaml';
import type { Recipe } from '../../src-preload/contract/index.ts';
import { trainerProcess } from '../../src-main/studio/runs/trainer-process.ts';
import { fillDisk } from '../support/full-disk.ts';
import { inEnvironment, trainerAt, type Moment } from '../support/trainer-moment.ts';
import { resultOf, smallRun, temporary } from '../trainer/support.ts';
import { openTestStudio, untilStatus } from './support/studio.ts';

// What may happen to a studio and its real trainer while a run goes on. Nothing of it ends the studio, which here is this process.
const work = temporary('mishaps');
const training = { steps: 60, evalEvery: 20, checkpointEvery: 10 };
const source = smallRun(work, { training });
const recipe = parse(fs.readFileSync(source, 'utf8')) as Recipe;

let opened: ReturnType<typeof openTestStudio>;
const rejections: unknown[] = [];
const keep = (reason: unknown) => rejections.push(reason);
process.on('unhandledRejection', keep);
afterAll(() => void process.off('unhandledRejection', keep));
afterEach(async () => {
  vi.restoreAllMocks();
  await opened.studio.close();
  expect(rejections).toEqual([]);
});

/** A run in a studio at `folder`, whose trainer stands still at that moment. */
async function runTo(moment: Moment, folder: string) {
  const held = trainerAt(moment, 'SIGSTOP');
  opened = openTestStudio(folder, { start: (...args) => inEnvironment(held.env, () => trainerProcess.start(...args)) });
  fs.copyFileSync(recipe.dataset as string, path.join(folder, 'data.jsonl'));
  const own = { ...recipe, model: copyOfModel(folder), dataset: path.join(folder, 'data.jsonl') };
  const run = await opened.client.runs.create({ name: 'run', recipe: own });
  await held.standing();
  return { ...run, held, again: { name: 'again', recipe: own } };
}

/** The studio reads models inside its folders only. */
function copyOfModel(folder: string): string {
  const to = path.join(folder, 'model');
  fs.cpSync(recipe.model, to, { recursive: true });
  return to;
}

describe('a run’s folder that is deleted while it trains', () => {
  it('ends the run in a sentence, is not made again, and the next run trains', async () => {
    const { id, folder, held, again } = await runTo({ kind: 'metrics', step: 25 }, temporary('mishap-folder'));
    fs.rmSync(folder, { recursive: true });
    await held.goOn();
    await untilStatus(opened.studio, id, 'failed');
    expect(opened.studio.runs.row(id).message).toMatch(/was deleted or moved while it trained/);
    expect(opened.studio.runs.row(id).message).toMatch(/log could not be written/);
    expect(fs.existsSync(folder)).toBe(false);
    const next = await opened.client.runs.create(again);
    await untilStatus(opened.studio, next.id, 'finished');
  });
});

describe('a run with its real trainer', () => {
  it('has each line of its log once', async () => {
    const { id, folder, held } = await runTo({ kind: 'metrics', step: 25 }, temporary('mishap-log'));
    await held.goOn();
    await untilStatus(opened.studio, id, 'finished');
    const lines = fs.readFileSync(path.join(folder, 'trainer.log'), 'utf8').trim().split('\n');
    const said = lines.map((line) => line.replace(/^\d{4}-\d\d-\d\dT\S+Z /, ''));
    expect(said.filter((line, at) => said.indexOf(line) !== at)).toEqual([]);
    expect(said).toEqual(
      expect.arrayContaining([expect.stringMatching(/^Training 60 steps/), 'Checkpoint at step 20']),
    );
    expect(lines.every((line) => /^\d{4}-/.test(line))).toBe(true);
  });

  it('says at once what a pause waits for, and can then be stopped and kept, with what was evaluated', async () => {
    const { id, folder, held } = await runTo({ kind: 'metrics', step: 25 }, temporary('mishap-pause'));
    const asked = await opened.client.runs.pause({ id });
    expect(asked).toMatchObject({
      status: 'running',
      asked: 'pause',
      message: expect.stringMatching(/^Pausing: /) as string,
    });
    await held.goOn();
    await untilStatus(opened.studio, id, 'paused');
    expect(opened.studio.runs.row(id)).toMatchObject({ asked: null, message: null });
    const { step } = opened.studio.runs.row(id);
    expect(fs.existsSync(path.join(folder, 'adapter.safetensors'))).toBe(false);
    expect(await opened.client.runs.stop({ id })).toMatchObject({ status: 'stopped', step });
    const description = JSON.parse(fs.readFileSync(path.join(folder, 'adapter.json'), 'utf8')) as { metrics: object };
    expect(description.metrics).toMatchObject({ steps: step, evalLoss: expect.any(Number) as number });
    await expect
      .poll(async () => (await opened.client.adapters.list({})).adapters.map(({ runId }) => runId))
      .toEqual([id]);
  });

  it('that does not answer is ended after a while when it is stopped, and its last checkpoint is the result', async () => {
    const { id } = await runTo({ kind: 'metrics', step: 25 }, temporary('mishap-hung'));
    const said: string[] = [];
    opened.studio.queue.on('change', () => said.push(opened.studio.runs.row(id).message ?? ''));
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      await opened.client.runs.stop({ id });
      vi.advanceTimersByTime(29_000);
      expect(said.at(-1)).toBe('Stopping: waits for its answer.');
      // Its longest silence so far counts twice on top.
      vi.advanceTimersByTime(600_000);
    } finally {
      vi.useRealTimers();
    }
    await untilStatus(opened.studio, id, 'stopped');
    expect(said.join('\n')).toMatch(/asked once more to end[^]*ended by force/);
    expect(opened.studio.runs.row(id)).toMatchObject({
      step: 20,
      message: expect.stringMatching(/did not answer and was ended.*step 20, its last checkpoint/) as string,
    });
    expect((await opened.client.runs.resume({ id })).status).toBe('queued');
    await untilStatus(opened.studio, id, 'finished');
  });

  it('can be ended at once', async () => {
    const { id } = await runTo({ kind: 'metrics', step: 25 }, temporary('mishap-end'));
    await opened.client.runs.end({ id });
    await untilStatus(opened.studio, id, 'paused');
    expect(opened.studio.runs.row(id).message).toMatch(/ended at your word after step 25/);
  });

  it('does not keep a studio that closes: one that hangs is ended', async () => {
    const { id } = await runTo({ kind: 'metrics', step: 25 }, temporary('mishap-close'));
    const processId = opened.studio.queue.trainerProcessId!;
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    try {
      const closed = opened.studio.queue.close();
      await vi.advanceTimersByTimeAsync(10_000);
      await closed;
    } finally {
      vi.useRealTimers();
    }
    const row = opened.studio.library.prepare('SELECT status FROM runs WHERE id = ?').get(id);
    expect(row).toMatchObject({ status: 'interrupted' });
    await expect
      .poll(() => fs.existsSync(`/proc/${processId}/cmdline`) && fs.readFileSync(`/proc/${processId}/cmdline`, 'utf8'))
      .toBeFalsy();
  });
});

const disk = temporary('mishap-disk');
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', disk]).status === 0;

describe.skipIf(!mounted)(
  'a disk that is full, with the run and the library on it (needs the right to mount a tmpfs)',
  () => {
    let whole: ReturnType<typeof resultOf>;
    beforeAll(async () => {
      opened = openTestStudio(temporary('mishap-whole'), trainerProcess);
      const { id, folder } = await opened.client.runs.create({
        name: 'run',
        recipe: {
          ...recipe,
          model: copyOfModel(opened.studio.dataFolder),
          dataset: copyOfData(opened.studio.dataFolder),
        },
      });
      await untilStatus(opened.studio, id, 'finished');
      whole = resultOf(folder);
      await opened.studio.close();
    });
    afterAll(() => void spawnSync('umount', [disk]));

    const copyOfData = (folder: string) => {
      fs.copyFileSync(recipe.dataset as string, path.join(folder, 'data.jsonl'));
      return path.join(folder, 'data.jsonl');
    };

    it('says so on the run, ends nothing, and with room again the run goes on to the same numbers', async () => {
      const { id, folder, held, again } = await runTo({ kind: 'metrics', step: 25 }, disk);
      const filler = fillDisk(path.join(disk, 'filler'));
      await held.goOn();
      await untilStatus(opened.studio, id, 'failed');
      expect(opened.studio.runs.row(id).message).toMatch(/The disk is full/);
      await expect(opened.client.runs.create(again)).rejects.toThrow(/The disk is full/);
      expect((await opened.client.runs.list()).runs[0]).toMatchObject({ id, status: 'failed' });
      fs.rmSync(filler);
      await expect
        .poll(() => opened.studio.library.prepare('SELECT status FROM runs WHERE id = ?').get(id))
        .toMatchObject({ status: 'failed' });
      await opened.client.runs.resume({ id });
      await untilStatus(opened.studio, id, 'finished');
      expect(resultOf(folder)).toEqual(whole);
    });
  },
);
