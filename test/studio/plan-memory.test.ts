import path from 'node:path';
import { afterAll, describe, expect, it, vi } from 'vitest';
import { forgetGpus } from '../../src-main/engine/devices.ts';
import type { EngineStatus } from '../../src-main/engine/types.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import { memoryOn } from '../../src-main/studio/work/plan-memory.ts';
import { proposePlan } from '../../src-main/studio/work/plan.ts';
import { FREE_BYTES, withProvenGpu } from '../support/proven-gpu.ts';
import { scratchFolder } from '../support/scratch.ts';
import { TINY_MODEL, writeTokens } from '../trainer/support.ts';

const MIB = 2 ** 20;
const scratch = scratchFolder();
afterAll(() => {
  vi.unstubAllEnvs();
  forgetGpus();
  scratch.remove();
});

describe('the memory of a plan', () => {
  const engine = (changes: Partial<EngineStatus>): EngineStatus => ({
    ...{ name: 'webgpu', available: true, device: 'A card', kind: 'gpu', memoryBytes: 24e9, versions: {}, reason: '' },
    ...changes,
  });

  it.each([
    ['nine tenths of what a GPU has free', engine({ freeBytes: 20e9 }), undefined, 18e9, 18e9],
    ['nine tenths of a GPU that does not tell', engine({}), undefined, 21.6e9, 21.6e9],
    ['seven tenths of a machine', engine({ kind: 'cpu', memoryBytes: 10e9 }), undefined, 7e9, 7e9],
    ['what was asked for', engine({ freeBytes: 20e9 }), 5e9, 5e9, 5e9],
    ['no more than the device has', engine({ memoryBytes: 8e9 }), 64e9, 64e9, 8e9],
  ])('is %s', (_, status, asked, budgetBytes, limitBytes) => {
    expect(memoryOn(status, asked)).toMatchObject({ budgetBytes, limitBytes });
  });

  it('is the GPU’s on which the run will be, though the machine has another and more of its own', async () => {
    await withProvenGpu(scratch.folder);
    const file = await openTextModel(TINY_MODEL);
    const mix = [{ path: writeTokens(path.join(scratch.folder, 'tokens.jsonl')), weight: 1 }];
    const plan = await proposePlan(file, { model: TINY_MODEL, mix, fixed: {} });
    await file.close();
    const freeBytes = FREE_BYTES;
    expect(plan.memoryOf).toEqual({
      ...{ device: 'NVIDIA H100 80GB HBM3', kind: 'gpu', memoryBytes: 81920 * MIB, freeBytes },
    });
    expect([plan.budgetBytes, plan.limitBytes]).toEqual([0.9 * freeBytes, 0.9 * freeBytes].map(Math.round));
    expect((plan.recipe as { budget?: object }).budget).toEqual({ memoryBytes: Math.round(0.9 * freeBytes) });
  });
});
