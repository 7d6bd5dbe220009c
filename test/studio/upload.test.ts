import { readdirSync, readFileSync, rmSync } from 'node:fs';
import type * as Files from 'node:fs/promises';
import { join } from 'node:path';
import { PassThrough, Readable } from 'node:stream';
import { afterAll, afterEach, describe, expect, it, vi } from 'vitest';
import { keepDatasetUpload } from '../../src-main/web/upload-dataset.ts';
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

  it('of a dataset is kept under the names that its rows know, and of anything else nothing', async () => {
    disk.free = Array.from({ length: 100 }, () => 100_000);
    const send = (files: unknown, body: string, described?: number) => {
      const head = JSON.stringify(files);
      const whole = Buffer.from(head + body);
      return keepDatasetUpload(uploads, 'my/shapes', described ?? Buffer.byteLength(head), whole.length, Readable.from([whole])); // prettier-ignore
    };
    const files = [
      { name: 'metadata.csv', bytes: 3 },
      { name: 'pictures/ü & #1.png', bytes: 4 },
      { name: 'pictures/more/2.JPG', bytes: 0 },
    ];
    const path = await send(files, 'a,bPNG!');
    expect(path).toMatch(/\/uploads\/[^/]+\/shapes$/);
    expect(files.map(({ name }) => readFileSync(join(path, name), 'utf8'))).toEqual(['a,b', 'PNG!', '']);
    rmSync(join(path, '..'), { recursive: true });
    const refusals: [unknown, RegExp][] = [
      [[{ name: '../metadata.csv', bytes: 1 }], /"\.\.\/metadata\.csv" is no kind of file/],
      [[{ name: 'a/../../b.csv', bytes: 1 }], /is no kind of file/],
      [[{ name: '/etc/b.csv', bytes: 1 }], /is no kind of file/],
      [[{ name: 'a\\b.csv', bytes: 1 }], /is no kind of file/],
      [[{ name: 'a/.hidden.csv', bytes: 1 }], /is no kind of file/],
      [[{ name: '1/2/3/4/5/b.csv', bytes: 1 }], /is no kind of file/],
      [[{ name: 'pictures/run.sh', bytes: 1 }], /"pictures\/run\.sh" is no kind of file/],
      [['p/a.png', 'P/A.png'].map((name) => ({ name, bytes: 1 })), /two of its files have the same name/],
      [[{ name: 'b.csv', bytes: 9 }], /was not sent whole/],
      [{ name: 'b.csv' }, /can't be taken in as a dataset/],
    ];
    for (const [odd, told] of refusals) await expect(send(odd, 'xx')).rejects.toThrow(told);
    for (const described of [0, NaN, 2 ** 40, 5])
      await expect(send(files, 'a,bPNG!', described)).rejects.toThrow("can't be taken in as a dataset");
  });
});
