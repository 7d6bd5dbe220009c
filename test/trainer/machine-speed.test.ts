import fs from 'node:fs';
import path from 'node:path';
import { afterEach, beforeEach, expect, it, vi } from 'vitest';
import type { ModelFacts } from '../../src-main/effilora/memory-plan.ts';
import type { EngineStatus } from '../../src-main/engine/types.ts';
import { secondsBesideSteps } from '../../src-main/studio/work/plan-time.ts';
import { keepSpeed, measuredSpeed, smallStepSpeed, speedFacts } from '../../src-main/trainer/machine-speed.ts';
import { engineFacts } from '../../src-main/trainer/engine-facts.ts';
import { RunSpeeds } from '../../src-main/trainer/run-speeds.ts';
import { answerFlops } from '../../src-main/tasks/answers.ts';
import { TimeLeft } from '../../src-main/trainer/time-left.ts';
import { options as adapterOptions, sites } from '../effilora/support.ts';
import { temporary } from './support.ts';

const cpu = { name: 'tensorflow', kind: 'cpu' } as const;
const adapter = adapterOptions();
const model: ModelFacts = {
  ...{
    name: 'tiny',
    parameters: 1e8,
    fileBytes: 4e8,
    layers: 2,
    hiddenSize: 6,
    intermediateSize: 8,
    attentionHeads: 2,
  },
  ...{ keyValueHeads: 1, headSize: 3, vocabularySize: 100, tiedEmbeddings: true, contextLength: 64, sites },
};
let folder: string;
beforeEach(() => {
  folder = temporary('speed');
  vi.stubEnv('EFFILORA_CACHE', folder);
});
afterEach(() => void vi.unstubAllEnvs());

it('keeps what runs reach by engine and products, and the plan reckons with it', async () => {
  expect(engineFacts(cpu).isMeasured).toBe(false);
  await keepSpeed(cpu, 'f32', 2e11);
  await keepSpeed(cpu, 'bf16', 5e11);
  await keepSpeed(cpu, 'f32', 3e11);
  expect(engineFacts(cpu)).toMatchObject({ isMeasured: true, flopsPerSecond: 3e11 });
  expect(engineFacts(cpu, 'bf16').flopsPerSecond).toBe(5e11);
  expect(measuredSpeed({ name: 'webgpu', kind: 'gpu' }, 'f32')).toBeUndefined();
});

it.each(['', '{"tensorflow cpu f32": ', '{"tensorflow cpu f32": -1}', '[3]'])(
  'takes a broken file for none: %s',
  async (text) => {
    fs.writeFileSync(path.join(folder, 'speed.json'), text);
    expect(measuredSpeed(cpu, 'f32')).toBeUndefined();
    await keepSpeed(cpu, 'f32', 1e11);
    expect(measuredSpeed(cpu, 'f32')).toBe(1e11);
  },
);

it('keeps what answers and setting up take, apart from the steps', async () => {
  const guess = speedFacts(cpu);
  expect(guess.setUpSecondsALayer).toBeGreaterThan(0);
  const engine = { ...cpu } as EngineStatus;
  const begun = performance.now() - 60_000;
  const run = {
    engine,
    products: 'f32',
    task: { unit: 'tokens' },
    flopsPerUnit: 1e9,
    cost: { seenFlops: 0, sampleFlops: answerFlops(1e8), blocks: 10 },
    begun,
  } as const;
  const speeds = new RunSpeeds(run);
  const time = new TimeLeft(500);
  for (let i = 0; i < 5; i++) time.step(1, 500);
  await speeds.steps(time);
  speeds.answered(2, 3);
  speeds.answered(2, 5);
  await speeds.beside(40);
  const { answerFlopsPerSecond, setUpSecondsALayer } = speedFacts(cpu);
  // 4 answers in 8 s: another one takes 2 s.
  expect(answerFlops(1e8) / answerFlopsPerSecond).toBeCloseTo(2, 6);
  // 20 of 60 s are explained by nothing else, and there are 10 blocks.
  expect(setUpSecondsALayer).toBeCloseTo(2, 1);
  expect(engineFacts(cpu).flopsPerSecond).toBeCloseTo(5e11, -9);
  // Steps that are too small say nothing of the machine, and what lies beside them neither.
  const small = new RunSpeeds({ ...run, flopsPerUnit: 1e3 });
  await small.steps(time);
  await small.beside(10);
  expect(speedFacts(cpu)).toEqual({ answerFlopsPerSecond, setUpSecondsALayer });
  // Of pictures there are models whose every step is small: 1,000 operations in a 500th of a second and 1,000 of them a step.
  expect(smallStepSpeed(cpu, 'pictures').isMeasured).toBe(false);
  await new RunSpeeds({ ...run, flopsPerUnit: 1e3, task: { unit: 'pictures' } }).steps(time);
  expect(smallStepSpeed(cpu, 'pictures')).toEqual({ flopsPerSecond: 1e3 * 500, isMeasured: true });
  expect(engineFacts(cpu, 'f32', 'pictures').isMeasured).toBe(false);
});

it('plans set-up, evaluations and answers beside the steps, once more before the first of them', () => {
  const held = { examples: 10, of: 60, meanTokens: 50 };
  const speed = { answerFlopsPerSecond: answerFlops(model.parameters), setUpSecondsALayer: 3 };
  const seconds = (training: object, heldOut = held) => {
    const recipe = {
      training: { steps: 20, evalEvery: 5, evalExamples: 'all', sequenceLength: 64, samples: 0, ...training },
    };
    const shape = { method: adapter, precision: 'file', sequenceLength: 64 } as const;
    return secondsBesideSteps(
      recipe as never,
      shape,
      heldOut,
      model,
      { ...engineFacts(cpu), flopsPerSecond: 1e12 },
      speed,
      { sampleFlops: answerFlops },
    );
  };
  const none = { examples: 0, of: 60, meanTokens: 0 };
  expect(seconds({}, none)).toBe(3 * model.layers);
  const loss = seconds({}) - 3 * model.layers;
  expect(loss).toBeGreaterThan(0);
  // 4 evaluations and the one before the first step, of 2 answers of a second each.
  expect(seconds({ samples: 2 }) - seconds({})).toBeCloseTo(10, 6);
  expect(seconds({ evalEvery: 10 }) - 3 * model.layers).toBeCloseTo((loss * 3) / 5, 6);
});
