import { noSoftwareGpu } from '../support/software-gpu.ts';
import { execFileSync } from 'node:child_process';
import fs from 'node:fs';
import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { afterEach, describe, expect, it } from 'vitest';
import { DeviceError } from '../../src-main/engine/device-error.ts';
import { openWebgpu } from '../../src-main/engine/webgpu/open.ts';
import { parseRecipe } from '../../src-main/recipe/recipe.ts';
import { train } from '../../src-main/trainer/train.ts';
import { smallRun, temporary } from './support.ts';

/** Limits this process's addresses, and so what a software adapter can allocate, to so many bytes more than it has. */
function limitMemory(moreBytes: number): void {
  const kibibytes = Number(/VmSize:\s+(\d+)/.exec(fs.readFileSync('/proc/self/status', 'utf8'))![1]);
  setLimit(String(1024 * kibibytes + moreBytes));
}
const setLimit = (soft: string) =>
  execFileSync('prlimit', ['--pid', String(process.pid), `--as=${soft}:unlimited`], { stdio: 'pipe' });

describe.skipIf(noSoftwareGpu)(`memory of a device${noSoftwareGpu ? `: ${noSoftwareGpu}` : ''}`, () => {
  afterEach(() => void setLimit('unlimited'));

  it('that the driver refuses ends training with one sentence, and keeps the last checkpoint for --resume', async () => {
    const folder = temporary('memory');
    const file = smallRun(folder, { engine: 'webgpu', training: { steps: 6, checkpointEvery: 1, evalSplit: 0 } });
    const out = path.join(folder, 'run');
    let log: string[] = [];
    const run = train(parseRecipe(fs.readFileSync(file, 'utf8'), file), out, {
      onEvent: (event) => {
        if (event.kind !== 'checkpoint' || event.step !== 2) return;
        void openWebgpu().then(({ opened }) => (log = opened.log));
        // one buffer that can't fit, far from the limit either way: what does fit stays free for the process's own allocations
        limitMemory(3 * 2 ** 27);
        tf.keep(tf.fill([2 ** 27], 1));
      },
    });
    await expect(run).rejects.toThrow(DeviceError);
    await expect(run).rejects.toThrow(/memory.*ran out with \d\.\d+ GiB in use: lower training\.batch.*--resume/);
    expect(log[0]).toContain('OUT_OF_DEVICE_MEMORY'); // the driver's own word
    expect(fs.readdirSync(path.join(out, 'checkpoints')).length).toBeGreaterThan(0);
  });
});
