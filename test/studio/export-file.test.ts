import { once } from 'node:events';
import { existsSync, mkdirSync, readdirSync, readlinkSync, truncateSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buffer } from 'node:stream/consumers';
import { afterAll, describe, expect, it } from 'vitest';
import { exportDownload } from '../../src-preload/contract/export-name.ts';
import type { Job } from '../../src-preload/contract/index.ts';
import { exportFile } from '../../src-main/web/export-file.ts';
import { scratchFolder } from '../support/scratch.ts';

describe('an export for a browser to keep', () => {
  const scratch = scratchFolder();
  afterAll(() => scratch.remove());

  /** An export of files of so many bytes that is done. */
  function exported(name: string, sizes: Record<string, number>): Job {
    const folder = join(scratch.folder, name);
    mkdirSync(folder);
    for (const [file, size] of Object.entries(sizes)) writeFileSync(join(folder, file), Buffer.alloc(size, file));
    const files = Object.entries(sizes).map(([file, byteLength]) => ({ name: file, byteLength }));
    return {
      ...{
        id: 'one',
        kind: 'export',
        name: 'Maß as peft',
        adapterId: 'a',
        state: 'done',
        progress: null,
        message: null,
      },
      ...{
        result: { adapterId: null, outcome: { folder, files, fidelity: null, adapterId: null } },
        createdAt: 1,
        endedAt: 2,
      },
    };
  }

  it('says its name in any letters, and how many bytes come', async () => {
    const job = exported("Maß (a'b) 0123ab", { 'one.safetensors': 70_000, 'two.json': 12 });
    const { headers, body } = await exportFile(job);
    expect(headers['content-disposition']).toBe(
      `attachment; filename="Ma_-(a_b).zip"; filename*=UTF-8''Ma%C3%9F-%28a%27b%29.zip`,
    );
    expect((await buffer(body)).byteLength).toBe(Number(headers['content-length']));
  });

  it('is one file where that is all it takes: weights with nothing beside them but card and report', () => {
    const take = (...files: string[]) => exportDownload('/exports/my style 0123ab', files);
    const [card, report] = ['README.md', 'fidelity.json'];
    expect(take(card, report, 'run.safetensors')).toEqual({ name: 'my-style.safetensors', file: 'run.safetensors' });
    expect(take(card, report, 'run.gguf', 'mmproj-run.gguf').file).toBe('run.gguf');
    const zip = { name: 'my-style.zip', file: null };
    expect(take(card, 'adapter_config.json', 'adapter_model.safetensors')).toEqual(zip);
    expect(take(card, report, 'model_index.json', 'unet/config.json', 'unet/model.safetensors')).toEqual(zip);
  });

  it('is not to be had before it is whole, nor without all of its files', async () => {
    const job = exported('gone', { 'one.safetensors': 10 });
    for (const state of ['running', 'failed', 'cancelled', 'interrupted'] as const)
      await expect(exportFile({ ...job, state, result: null })).rejects.toThrow('left nothing to download');
    job.result!.outcome!.files.push({ name: 'never-written.json', byteLength: 4 });
    await expect(exportFile(job)).rejects.toThrow(
      'never-written.json of "Maß as peft" isn\'t on the studio\'s machine',
    );
  });

  it('breaks off where a file became another on the way, rather than ending as a zip', async () => {
    const job = exported('shrunk', { 'one.safetensors': 3 << 20, 'two.safetensors': 1 << 20 });
    const { body } = await exportFile(job);
    truncateSync(join(scratch.folder, 'shrunk', 'two.safetensors'), 10);
    await expect(buffer(body)).rejects.toThrow(/unexpected number of bytes/);
  });

  it.skipIf(!existsSync('/proc/self/fd'))('leaves no file open where the browser leaves halfway', async () => {
    const job = exported('left', { 'one.safetensors': 8 << 20, 'two.safetensors': 8 << 20 });
    const isOpen = () =>
      readdirSync('/proc/self/fd').some((fd) => {
        try {
          return readlinkSync(`/proc/self/fd/${fd}`).startsWith(join(scratch.folder, 'left'));
        } catch {
          return false;
        }
      });
    const { body } = await exportFile(job);
    await once(body, 'readable');
    await expect.poll(isOpen).toBe(true);
    body.destroy();
    await expect.poll(isOpen).toBe(false);
  });
});
