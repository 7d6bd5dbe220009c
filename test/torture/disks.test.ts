import { afterAll, describe, expect, it } from 'vitest';
import { SmallDisk } from './disks.ts';
import { random } from './random.ts';

/** Moments each here; `npm run torture` takes twenty. */
const MOMENTS = 3;
const disk = await SmallDisk.mount();
afterAll(() => disk?.unmount());

describe.skipIf(!disk)('at any moment of a run (needs the right to mount a tmpfs)', () => {
  it.each(['full', 'deleted'] as const)('a disk or folder that is %s ends it in a sentence', async (what) => {
    const next = random(what.length);
    const hits: string[] = [];
    for (let trial = 0; trial < MOMENTS; trial++) hits.push(await disk![what](next()));
    expect(hits).toContain('in the middle');
  });
});
