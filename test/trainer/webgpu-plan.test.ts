import { noSoftwareGpu } from '../support/software-gpu.ts';
import { beforeAll, describe, expect, it } from 'vitest';
import { memoryPlan } from '../../src-main/effilora/memory-plan.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import type { Backend } from '../../src-main/engine/webgpu/backend.ts';
import { openWebgpu } from '../../src-main/engine/webgpu/open.ts';
import { modelFacts } from '../../src-main/tasks/text-plan.ts';
import { engineFacts } from '../../src-main/trainer/engine-facts.ts';
import { EFFILORA, llamaConfig, parametersOf, randomBatch, randomStep } from '../support/random-step.ts';

describe.skipIf(noSoftwareGpu)(`a plan for webgpu${noSoftwareGpu ? `: ${noSoftwareGpu}` : ''}`, () => {
  let backend: Backend;
  beforeAll(async () => {
    await openEngine('webgpu');
    backend = await openWebgpu();
  });

  // where activations need the most, and where logits do
  it.each([
    [{ layers: 2, vocabularySize: 512 }, 4, 64, false],
    [{ layers: 2, vocabularySize: 2_048 }, 2, 128, true],
  ])('predicts the bytes that a step takes on the device: %j, %i x %i, recomputed: %s', async (...shape) => {
    const [changes, rows, length, recompute] = shape;
    const config = llamaConfig(changes);
    const parameters = parametersOf(config);
    const facts = { ...modelFacts({ name: '', config, tensors: [] }), parameters, fileBytes: 4 * parameters };
    const run = { method: EFFILORA, precision: 'f32', products: 'f32', sequenceLength: length, recompute } as const;
    const engine = engineFacts({ name: 'webgpu', kind: 'gpu' });
    const { total } = memoryPlan(facts, engine, { ...run, tokens: rows * length, evaluationTokens: 0 });
    backend.flush();
    backend.pool.dispose();
    backend.pool.resetPeak();
    const start = backend.pool.numBytesAllocated;
    const step = await randomStep(config, { recompute });
    for (const n of [1, 2]) await step.run(n, [randomBatch(config, rows, length)], 1e-3);
    const counted = backend.pool.peakBytes - start;
    expect(total / counted).toBeGreaterThan(0.75);
    expect(total / counted).toBeLessThan(1.25);
    step.dispose();
    step.optimizer.dispose();
    step.adapter.dispose();
    step.model.dispose();
  });
});
