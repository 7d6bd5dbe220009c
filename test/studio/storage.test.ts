import fs from 'node:fs';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it, vi } from 'vitest';
import { openTestStudio, player, untilStatus } from './support/studio.ts';
import { scratchFolder } from '../support/scratch.ts';

const scratch = scratchFolder();
const at = (...names: string[]) => join(scratch.folder, ...names);
let open: ReturnType<typeof openTestStudio>;

/** A file of so many bytes that was there long before. */
function put(path: string, bytes: number): string {
  fs.mkdirSync(dirname(path), { recursive: true });
  fs.writeFileSync(path, Buffer.alloc(bytes));
  const old = new Date(Date.now() - 86_400_000);
  fs.utimesSync(path, old, old);
  fs.utimesSync(dirname(path), old, old);
  return path;
}

beforeAll(() => {
  vi.stubEnv('EFFILORA_CACHE', at('cache'));
  open = openTestStudio(scratch.folder, player(30, 1));
});
afterAll(async () => {
  await open.studio.close();
  vi.unstubAllEnvs();
  scratch.remove();
});

async function run(name: string, change: object = {}) {
  const { id, folder } = await open.client.runs.create({ name, recipe: { ...open.recipe, ...change } });
  await untilStatus(open.studio, id, 'finished');
  for (const step of [10, 20]) put(join(folder, 'checkpoints', `step-000000${step}`, 'state.json'), 5_000);
  return { id, folder };
}

describe('what can go from the disk', () => {
  it('is listed by size and goes when it is asked for, and nothing else does', async () => {
    const used = put(at('uploads', 'aaaaaaaa', 'used.jsonl'), 7_000);
    put(at('uploads', 'bbbbbbbb', 'unused.jsonl'), 90_000);
    fs.mkdirSync(at('uploads', 'cccccccc'));
    fs.writeFileSync(at('uploads', 'cccccccc', 'just-dropped.jsonl'), 'x');
    put(at('exports', 'style peft 123456', 'adapter_model.safetensors'), 40_000);
    put(at('cache', 'prepared', 'tokens'), 30_000);
    put(at('cache', 'pictures', 'a-way', 'one.picture'), 20_000);
    put(at('cache', 'seen', 'one.features'), 10_000);
    const model = put(at('hub', 'models', 'acme--tiny', 'tiny.gguf'), 80_000);
    const finished = await run('finished', { dataset: used, model });
    const paused = await run('paused');
    open.studio.runs.change(paused.id, { status: 'paused' });
    const trashed = await run('trashed');
    await open.client.runs.remove({ id: trashed.id });

    const items = await open.client.storage.spare();
    expect(items.map(({ bytes }) => bytes)).toEqual(items.map(({ bytes }) => bytes).sort((a, b) => b - a));
    const byKind = (kind: string) =>
      items.filter((item) => item.kind === kind).map(({ name, bytes }) => ({ name, bytes }));
    expect(byKind('upload')).toEqual([{ name: 'unused.jsonl', bytes: 90_000 }]);
    expect(byKind('export')).toEqual([{ name: 'style peft 123456', bytes: 40_000 }]);
    expect(byKind('prepared')).toEqual([{ name: 'Prepared data', bytes: 60_000 }]);
    expect(byKind('model')).toEqual([{ name: 'acme/tiny', bytes: 80_000 }]);
    expect(items.find(({ kind }) => kind === 'model')!.note).toMatch(/need it/);
    // Of a finished run all, of one to be resumed all but the last.
    expect(byKind('checkpoints')).toEqual([
      { name: 'Saved states of “finished”', bytes: 10_000 },
      { name: 'Saved states of “paused”', bytes: 5_000 },
    ]);
    expect(byKind('trash').map(({ name }) => name)).toEqual(['Run “trashed”']);

    const wanted = items.filter(({ kind }) => kind !== 'export');
    const freed = await open.client.storage.free({ ids: [...wanted.map(({ id }) => id), 'upload:/etc'] });
    expect(freed).toEqual({ freedBytes: wanted.reduce((sum, { bytes }) => sum + bytes, 0), kept: [] });
    expect((await open.client.storage.spare()).map(({ kind }) => kind)).toEqual(['export']);
    const left = (folder: string) => fs.readdirSync(join(folder, 'checkpoints'));
    expect([left(finished.folder), left(paused.folder)]).toEqual([[], ['step-00000020']]);
    expect(fs.existsSync(used)).toBe(true);
    expect(fs.readdirSync(at('uploads')).sort()).toEqual(['aaaaaaaa', 'cccccccc']);
    expect(fs.existsSync('/etc')).toBe(true);
    expect(fs.existsSync(trashed.folder)).toBe(false);
  });

  it('does not take from a run that has begun meanwhile', async () => {
    const { id, folder } = await run('busy');
    const [item] = (await open.client.storage.spare()).filter(({ kind }) => kind === 'checkpoints');
    const { pid, ...rest } = (await import('../../src-main/engine/process-identity.ts')).ownIdentity();
    fs.writeFileSync(join(folder, 'run.lock'), JSON.stringify({ pid, ...rest, token: 'theirs' }));
    expect(await open.client.storage.free({ ids: [item!.id] })).toMatchObject({
      freedBytes: 0,
      kept: [{ why: expect.stringMatching(/another process/) as string }],
    });
    expect(item!.id).toBe(`checkpoints:${id}`);
    expect(fs.readdirSync(join(folder, 'checkpoints'))).toHaveLength(2);
  });
});
