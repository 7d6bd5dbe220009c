import { readdirSync } from 'node:fs';
import type * as Files from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { keepUpload } from '../../src-main/web/upload.ts';
import { scratchFolder } from '../support/scratch.ts';

/** free blocks of 1 MiB, at every look one number */
const disk = vi.hoisted(() => ({ free: [] as number[] }));
vi.mock('node:fs/promises', async (original) => {
  const real = await original<typeof Files>();
  return { ...real, statfs: async () => ({ bavail: disk.free.shift() ?? 0, bsize: 1 << 20 }) };
});

const MB = 1 << 20;

describe('an upload', () => {
  const { folder, remove } = scratchFolder();
  const uploads = join(folder, 'uploads');
  afterEach(() => {
    vi.useRealTimers();
    expect(readdirSync(uploads)).toEqual([]);
  });
  afterAll(remove);

  it('is given up when the disk fills while it is written, however large it said to be', async () => {
    disk.free = [100_000, 100_000, 1_000];
    let sent = 0;
    const body = Readable.from(
      (function* () {
        for (; sent < 1_000; sent++) yield Buffer.alloc(MB);
      })(),
    );
    await expect(keepUpload(uploads, 'model.gguf', 0, body)).rejects.toThrow(/"model.gguf".*doesn't fit on the disk/);
    // At the third look of the disk, every 64 MB: not when all of it was written.
    expect(sent).toBeLessThan(200);
  });

  it('is given up when nothing comes any more', async () => {
    disk.free = [100_000];
    vi.useFakeTimers({ toFake: ['setTimeout', 'clearTimeout'] });
    const body = new PassThrough();
    body.write('a beginning');
    const kept = expect(keepUpload(uploads, 'rows.jsonl', 100, body)).rejects.toThrow(/Nothing came of "rows.jsonl"/);
    // Until the wait for the second piece has begun.
    await vi.waitFor(() => expect(vi.getTimerCount()).toBe(1));
    for (let minutes = 0; minutes < 3; minutes++) await vi.advanceTimersByTimeAsync(60_000);
    await kept;
  });
});
