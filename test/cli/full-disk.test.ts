import { spawnSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { fillDisk } from '../support/full-disk.ts';
import { trainerAt } from '../support/trainer-moment.ts';
import { resultOf, smallRun, temporary } from '../trainer/support.ts';
import { cli, startCli } from './support.ts';

const disk = temporary('small-disk');
const mounted = spawnSync('mount', ['-t', 'tmpfs', '-o', 'size=2m', 'tmpfs', disk]).status === 0;

describe.skipIf(!mounted)('a disk that is full (needs the right to mount a tmpfs)', () => {
  const work = temporary('full-disk');
  const recipe = smallRun(work, { training: { steps: 60, evalEvery: 20, checkpointEvery: 10 } });
  const run = path.join(disk, 'run');

  beforeAll(async () => {
    expect(await cli(['train', recipe, '--out', path.join(work, 'whole')])).toMatchObject({ code: 0 });
  });
  afterAll(() => {
    spawnSync('umount', [disk]);
  });

  it('ends the run in one sentence, and with room again it goes on from the last whole checkpoint', async () => {
    const trainer = trainerAt({ kind: 'checkpoint', step: 20 }, 'SIGSTOP');
    const training = startCli(['train', recipe, '--out', run, '--json'], { env: trainer.env });
    await trainer.standing();
    const filler = fillDisk(path.join(disk, 'filler'));
    await trainer.goOn();
    const { code, stderr } = await training.ended;
    expect({ code, stderr: stderr.trim() }).toEqual({
      code: 2,
      stderr: expect.stringMatching(
        /^The disk is full: .*run could not be written, its last checkpoint is whole; make room/,
      ) as string,
    });
    expect(fs.readdirSync(path.join(run, 'checkpoints')).filter((name) => name.includes('partial'))).toEqual([]);
    fs.rmSync(filler);
    expect(await cli(['train', run, '--resume'])).toMatchObject({ code: 0 });
    expect(resultOf(run)).toEqual(resultOf(path.join(work, 'whole')));
  });
});
