import { noSoftwareGpu } from '../support/software-gpu.ts';
import fs from 'node:fs';
import path from 'node:path';
import { describe, expect, it } from 'vitest';
import { openEngine } from '../../src-main/engine/index.ts';
import { DeviceError } from '../../src-main/engine/device-error.ts';
import { openWebgpu } from '../../src-main/engine/webgpu/open.ts';
import { parseRecipe } from '../../src-main/recipe/recipe.ts';
import { train } from '../../src-main/trainer/train.ts';
import { smallRun, temporary } from './support.ts';
import { furthest, losses } from './webgpu-losses.ts';

describe.skipIf(noSoftwareGpu)(`training on webgpu${noSoftwareGpu ? `: ${noSoftwareGpu}` : ''}`, () => {
  it.each(['int8', 'int4'])(
    'with weights in %s it has the losses, held out ones too, that tensorflow has',
    async (weights) => {
      const training = { weights };
      const theirs = await losses({ engine: 'tensorflow', training });
      expect(furthest(await losses({ engine: 'webgpu', training }), theirs)).toBeLessThan(2e-3);
      // other weights than the file's, and so other losses
      if (weights === 'int4') expect(furthest(await losses({ engine: 'tensorflow' }), theirs)).toBeGreaterThan(2e-3);
    },
  );

  it('computes blocks again only where the budget asks for it, and has the same losses', async () => {
    const [roomy, tight] = [[], []] as [string[], string[]];
    const run = { engine: 'webgpu' };
    const kept = await losses({ ...run, budget: { memoryBytes: 2 ** 28 } }, roomy);
    const again = await losses({ ...run, budget: { memoryBytes: 2 ** 18 } }, tight);
    expect([roomy, tight].map((log) => log.some((line) => line.includes('again in backward')))).toEqual([false, true]);
    expect(furthest(again, kept)).toBeLessThan(1e-4);
  });

  it('says so where it has no half precision', async () => {
    const log: string[] = [];
    await losses({ engine: 'webgpu', training: { precision: 'bf16', steps: 1 } }, log);
    expect(log.join('\n')).toContain('Products are in f32');
  });

  it('with products in integers it has the losses that tensorflow has with them', async () => {
    const training = { precision: 'int8' };
    const theirs = await losses({ engine: 'tensorflow', training });
    expect(furthest(await losses({ engine: 'webgpu', training }), theirs)).toBeLessThan(2e-3);
    expect(furthest(await losses({ engine: 'tensorflow' }), theirs)).toBeGreaterThan(1e-5);
  });

  it('stops with one sentence when the device is lost, and keeps the last checkpoint for --resume', async () => {
    await openEngine('webgpu');
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
