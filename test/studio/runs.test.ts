import { appendFileSync, readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import type { RunEvent, RunPosition } from '../../src-preload/contract/index.ts';
import { openTestStudio, player, untilStatus } from './support/studio.ts';
import { scratchFolder } from '../support/scratch.ts';

let scratch: ReturnType<typeof scratchFolder>;
let close: (() => Promise<void>) | undefined;
beforeEach(() => (scratch = scratchFolder()));
afterEach(async () => {
  await close?.();
  close = undefined;
  scratch.remove();
});

function open(steps: number, paceMs: number, holdAt?: number) {
  const trainer = player(steps, paceMs, holdAt);
  const opened = openTestStudio(scratch.folder, trainer);
  close = () => opened.studio.close();
  return { ...opened, trainer };
}

/** Takes events until `done`; the steps seen in order, and where it got to. */
async function take(events: AsyncIterable<RunEvent>, done: (steps: number[], event: RunEvent) => boolean) {
  let steps: number[] = [];
  let frames: number[] = [];
  let position: RunPosition | undefined;
  let resets = 0;
  for await (const event of events) {
    if (event.kind === 'reset') {
      [steps, frames] = [[], []];
      resets += 1;
    }
    if (event.kind === 'metrics') steps.push(...event.records.map((record) => record.step));
    if (event.kind === 'heads') frames.push(...event.frames.map((frame) => frame.step));
    if ('position' in event) position = event.position;
    if (done(steps, event)) break;
  }
  return { steps, frames, position, resets };
}

const upTo = (last: number) => Array.from({ length: last }, (_, index) => index + 1);

describe('runs', () => {
  it('runs queued trainings one after the other, in their order', async () => {
    const { studio, client, recipe } = open(5, 2);
    const held = await client.runs.create({ name: 'held', recipe, hold: true });
    const first = await client.runs.create({ name: 'first', recipe });
    const second = await client.runs.create({ name: 'second', recipe });
    const third = await client.runs.create({ name: 'third', recipe });
    await client.runs.reorder({ ids: [third.id, second.id] });
    for (const { id } of [first, second, third]) await untilStatus(studio, id, 'finished');
    const started = [first, third, second].map(({ id }) => studio.runs.row(id).started_at!);
    expect([...started].sort((a, b) => a - b)).toEqual(started);
    expect(studio.runs.row(held.id)).toMatchObject({ status: 'paused', attempt: 0 });
    expect(studio.runs.row(third.id)).toMatchObject({ step: 5, message: null });
  });

  it('gives a long run in small pieces: large ones outlive young garbage and grow the studio', async () => {
    const { client, recipe } = open(1, 1);
    const { id, folder } = await client.runs.create({ name: 'long', recipe, hold: true });
    const line = (step: number) =>
      `${JSON.stringify({ step, loss: 1, tokens: { label: 1, all: 2 }, pad: 'x'.repeat(300) })}\n`;
    writeFileSync(join(folder, 'metrics.jsonl'), upTo(8_000).map(line).join(''));
    const steps: number[] = [];
    let longest = 0;
    for await (const event of await client.runs.watch({ id })) {
      if (event.kind === 'current') break;
      longest = Math.max(longest, JSON.stringify(event).length);
      if (event.kind === 'metrics') steps.push(...event.records.map((record) => record.step));
    }
    expect(steps).toEqual(upTo(8_000));
    expect(longest).toBeLessThan(1 << 19);
  });

  it('streams every step once, over a lost connection too', async () => {
    const { studio, client, recipe, trainer } = open(60, 5, 35);
    const { id } = await client.runs.create({ name: 'run', recipe });
    const before = await take(await client.runs.watch({ id }), (steps) => steps.length >= 15);
    // Held, so that there is something left to come, however late the stream was left.
    trainer.children[0]!.send('go');
    const after = await take(await client.runs.watch({ id, from: before.position }), (steps) => steps.at(-1) === 60);
    expect([...before.steps, ...after.steps]).toEqual(upTo(60));
    expect(after.resets).toBe(0);
    await untilStatus(studio, id, 'finished');
  });

  it('sends everything again after the trainer was killed and resumed from its checkpoint', async () => {
    const { studio, client, recipe, trainer } = open(60, 5, 35);
    const { id } = await client.runs.create({ name: 'run', recipe });
    const before = await take(await client.runs.watch({ id }), (steps) => steps.length >= 25);
    trainer.children[0]!.kill('SIGKILL');
    await untilStatus(studio, id, 'failed');
    expect(studio.runs.row(id).message).toMatch(/SIGKILL/);
    await client.runs.resume({ id });
    await untilStatus(studio, id, 'finished');
    const whole = await take(
      await client.runs.watch({ id, from: before.position }),
      (_, event) => event.kind === 'current',
    );
    expect(whole.resets).toBe(1);
    expect(whole.steps).toEqual(upTo(60));
    expect(whole.frames).toEqual(upTo(60));
  });

  it('packs heads in the order of the model, bits and floats intact', async () => {
    const { studio, client, recipe } = open(25, 1);
    const { id, folder } = await client.runs.create({ name: 'run', recipe });
    await untilStatus(studio, id, 'finished');
    let names: string[] = [];
    const frames: { step: number; importance: string; frozen: string }[] = [];
    for await (const event of await client.runs.watch({ id })) {
      if (event.kind === 'names') names = event.names;
      if (event.kind === 'heads') frames.push(...event.frames);
      if (event.kind === 'current') break;
    }
    const lines = readFileSync(join(folder, 'heads.jsonl'), 'utf8').trimEnd().split('\n');
    expect(frames).toHaveLength(lines.length);
    frames.forEach((frame, index) => {
      const line = JSON.parse(lines[index]!) as { importance: Record<string, number>; frozen: string[] };
      const bytes = Buffer.from(frame.importance, 'base64');
      const bits = Buffer.from(frame.frozen, 'base64');
      names.forEach((name, head) => {
        expect(bytes.readFloatLE(head * 4)).toBe(Math.fround(line.importance[name]!));
        expect(((bits[head >> 3]! >> (head & 7)) & 1) === 1).toBe(line.frozen.includes(name));
      });
    });
  });

  it('leaves a torn last line alone until it is whole', async () => {
    const { studio, client, recipe } = open(3, 1);
    const { id, folder } = await client.runs.create({ name: 'run', recipe });
    await untilStatus(studio, id, 'finished');
    appendFileSync(join(folder, 'metrics.jsonl'), '{"step":4,"lo');
    const events = (await client.runs.watch({ id }))[Symbol.asyncIterator]();
    const seen: number[] = [];
    for (let event = await events.next(); ; event = await events.next()) {
      const value = event.value as RunEvent;
      if (value.kind === 'metrics') seen.push(...value.records.map((record) => record.step));
      if (value.kind === 'current') break;
    }
    expect(seen).toEqual([1, 2, 3]);
    appendFileSync(join(folder, 'metrics.jsonl'), 'ss":1}\n');
    const next = await events.next();
    expect(next.value).toMatchObject({ kind: 'metrics', records: [{ step: 4, loss: 1 }] });
    await events.return?.(undefined);
  });

  it('pauses, resumes, stops, trashes and restores, and says no where it must', async () => {
    const { studio, client, recipe } = open(4000, 5);
    const { id, folder } = await client.runs.create({ name: 'run', recipe });
    await untilStatus(studio, id, 'running');
    await expect(client.runs.remove({ id })).rejects.toThrow(/is running. Stop it/);
    await client.runs.pause({ id });
    await untilStatus(studio, id, 'paused');
    await expect(client.runs.setRatio({ id, ratio: 0.3 })).rejects.toThrow(/isn't running \(it is paused\)/);
    await client.runs.resume({ id });
    await untilStatus(studio, id, 'running');
    await client.runs.stop({ id });
    await untilStatus(studio, id, 'stopped');
    await client.runs.remove({ id });
    expect((await client.runs.list()).trashed.map((run) => run.id)).toEqual([id]);
    await client.runs.restore({ id });
    await expect(client.runs.purge({ id })).rejects.toThrow(/not in the trash/);
    await client.runs.remove({ id });
    await client.runs.purge({ id });
    expect(await client.runs.list()).toEqual({ runs: [], trashed: [] });
    expect(() => readFileSync(join(folder, 'recipe.yaml'))).toThrow(/ENOENT/);
    await expect(client.runs.get({ id })).rejects.toThrow(/no run/);
  });

  it('refuses a recipe that names files outside the chosen folders', async () => {
    const { client, recipe } = open(5, 1);
    const create = (change: object) => client.runs.create({ name: 'run', recipe: { ...recipe, ...change } });
    await expect(create({ dataset: '/etc/passwd' })).rejects.toThrow(/outside the folders/);
    await expect(create({ dataset: [{ path: `${scratch.folder}/../other.jsonl` }] })).rejects.toThrow(/outside/);
    await expect(create({ model: '/etc' })).rejects.toThrow(/outside/);
    await expect(create({ init: '/etc/hosts' })).rejects.toThrow(/outside/);
    expect((await client.runs.list()).runs).toEqual([]);
  });

  it('shows a run whose folder was moved away as missing', async () => {
    const { studio, client, recipe } = open(3, 1);
    const { id, folder } = await client.runs.create({ name: 'run', recipe });
    await untilStatus(studio, id, 'finished');
    const { rmSync } = await import('node:fs');
    rmSync(folder, { recursive: true });
    expect((await client.runs.get({ id })).run.missing).toBe(true);
  });
});
