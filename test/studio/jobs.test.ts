import { randomUUID } from 'node:crypto';
import fs from 'node:fs';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Job } from '../../src-preload/contract/index.ts';
import { ownIdentity } from '../../src-main/engine/process-identity.ts';
import { openStudio } from '../../src-main/studio/studio.ts';
import { writeRandomAdapter } from '../support/adapters.ts';
import { TINY_MODEL, writeTokens } from '../trainer/support.ts';
import { openTestStudio, player } from './support/studio.ts';
import { scratchFolder } from '../support/scratch.ts';

const scratch = scratchFolder();
const at = (name: string) => join(scratch.folder, name);
let open: ReturnType<typeof openTestStudio>;
let id: string;

beforeAll(async () => {
  fs.cpSync(TINY_MODEL, at('model'), { recursive: true });
  await writeRandomAdapter(at('foreign'), at('model'));
  open = openTestStudio(scratch.folder, player(1, 1));
  await open.client.settings.set({ engine: 'cpu' });
  id = (await open.client.adapters.import({ path: at('foreign'), model: at('model') })).id;
});
afterAll(async () => {
  await open.studio.close();
  scratch.remove();
});

async function end(job: string): Promise<Job> {
  let last: Job | undefined;
  for await (const now of await open.client.jobs.follow({ id: job })) last = now;
  return last!;
}

describe('exports and imports', () => {
  const asked = () => ({ id, to: 'peft' as const, calibrate: writeTokens(at('rows.jsonl'), 24) });

  it('go on when who looked on has gone, and are found again with what they left', async () => {
    const started = await open.client.exporting.start(asked());
    expect(started).toMatchObject({ kind: 'export', state: 'running', adapterId: id, result: null });
    for await (const { state } of await open.client.jobs.follow({ id: started.id })) if (state === 'running') break;
    const found = (await open.client.jobs.list()).find((job) => job.id === started.id);
    expect(found).toMatchObject({ state: expect.stringMatching(/running|done/) as string });
    const { state, result, progress } = await end(started.id);
    expect({ state, progress }).toEqual({ state: 'done', progress: null });
    expect(fs.readdirSync(result!.outcome!.folder)).toEqual(
      expect.arrayContaining(['adapter_model.safetensors', 'README.md']),
    );
    await open.client.jobs.remove({ id: started.id });
    expect((await open.client.jobs.list()).map((job) => job.id)).not.toContain(started.id);
    expect(fs.existsSync(result!.outcome!.folder)).toBe(true);
  });

  it('leave nothing when they are cancelled', async () => {
    const before = fs.readdirSync(at('exports'));
    const started = await open.client.exporting.start({ ...asked(), calibrate: writeTokens(at('many.jsonl'), 3000) });
    await expect(open.client.jobs.remove({ id: started.id })).rejects.toThrow(/Cancel it first/);
    for await (const { progress } of await open.client.jobs.follow({ id: started.id }))
      if (progress?.stage === 'calibrating') break;
    await open.client.jobs.cancel({ id: started.id });
    expect(await end(started.id)).toMatchObject({ state: 'cancelled', result: null });
    await expect.poll(() => fs.readdirSync(at('exports'))).toEqual(before);
  });

  it('say in a sentence why they failed', async () => {
    fs.mkdirSync(at('damaged'));
    fs.writeFileSync(at('damaged/adapter.json'), '{');
    fs.writeFileSync(at('damaged/adapter.safetensors'), '');
    const before = fs.readdirSync(at('adapters'));
    const { id: job } = await open.client.adapters.startImport({ path: at('damaged'), model: at('model') });
    expect(await end(job)).toMatchObject({ state: 'failed', message: expect.stringMatching(/not JSON/) as string });
    expect(fs.readdirSync(at('adapters'))).toEqual(before);
  });

  const gone = JSON.stringify({ ...ownIdentity(), started: 'of a process long gone' });

  it('are interrupted, and their beginnings gone, where the studio that did them has ended', async () => {
    const alive = JSON.stringify({ ...ownIdentity(), pid: process.ppid, started: 'x', host: 'attic' });
    const left = join(at('exports'), 'style peft 123456');
    fs.mkdirSync(`${left}.partial-77`);
    fs.writeFileSync(join(`${left}.partial-77`, 'adapter_model.safetensors'), 'half');
    const jobs = [
      { owner: gone, begun: Date.now() },
      { owner: alive, begun: Date.now() },
      { owner: alive, begun: Date.now() - 2 * 86_400_000 },
    ].map((one) => ({ ...one, job: randomUUID() }));
    for (const { owner, begun, job } of jobs)
      open.studio.library
        .prepare(
          `INSERT INTO jobs (id, kind, name, folders, state, owner, created_at) VALUES (?, 'export', 'x', ?, 'running', ?, ?)`,
        )
        .run(job, JSON.stringify([owner === gone ? left : '/nowhere/other']), owner, begun);
    const second = openStudio({ dataFolder: scratch.folder, trainer: player(1, 1), folders: [scratch.folder] });
    try {
      await expect.poll(() => second.jobs.get(jobs[0]!.job).state).toBe('interrupted');
      expect(second.jobs.get(jobs[0]!.job).message).toMatch(/ended before this was done/);
      expect(fs.existsSync(`${left}.partial-77`)).toBe(false);
      // Another machine's, of which nothing is known here, has a day.
      await expect.poll(() => second.jobs.get(jobs[2]!.job).state).toBe('interrupted');
      expect(second.jobs.get(jobs[1]!.job).state).toBe('running');
    } finally {
      await second.close();
    }
  });
});
