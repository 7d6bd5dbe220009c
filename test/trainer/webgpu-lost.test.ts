import { noSoftwareGpu } from '../support/software-gpu.ts';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { DeviceError } from '../../src-main/engine/webgpu/device.ts';
import { openWebgpu } from '../../src-main/engine/webgpu/open.ts';
import { parseRecipe } from '../../src-main/trainer/recipe.ts';
import { train } from '../../src-main/trainer/train.ts';
import { smallRun, temporary } from './support.ts';

describe.skipIf(noSoftwareGpu)(`training on webgpu${noSoftwareGpu ? `: ${noSoftwareGpu}` : ''}`, () => {
  it('stops with one sentence when the device is lost, and keeps the last checkpoint for --resume', async () => {
    const folder = temporary('lost');
    const file = smallRun(folder, { engine: 'webgpu', training: { steps: 6, checkpointEvery: 1, evalSplit: 0 } });
    const recipe = parseRecipe(fs.readFileSync(file, 'utf8'), file);
    const out = path.join(folder, 'run');
    const memory: number[] = [];
    const lost = train(recipe, out, {
      onEvent: (event) => {
        if (event.kind === 'metrics') memory.push(event.line.memory);
        if (event.kind === 'checkpoint' && event.step === 2) void openWebgpu().then(({ device }) => device.destroy());
      },
    });
    await expect(lost).rejects.toThrow(DeviceError);
    await expect(lost).rejects.toThrow(/stopped working.*training\.batch.*--resume/);
    const kept = fs.readdirSync(path.join(out, 'checkpoints'));
    expect(kept.length).toBeGreaterThan(0);
    // what the device holds, not this process's memory, which is far more
    expect(Math.max(...memory)).toBeLessThan(64 * 2 ** 20);
  });
});
