import path from 'node:path';
import * as tf from '@tensorflow/tfjs-core';
import { beforeAll, describe, expect, it } from 'vitest';
import { packBatch } from '../../src-main/data/batches.ts';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { AdamW, ADAMW_DEFAULTS } from '../../src-main/effilora/adamw.ts';
import { headsPerSite } from '../../src-main/effilora/methods/structure.ts';
import { Reducer } from '../../src-main/effilora/reducer.ts';
import type { AdapterOptions } from '../../src-main/effilora/types.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { randomStream } from '../../src-main/engine/random.ts';
import { loadCausalLM, type CausalLM } from '../../src-main/models/causal-lm.ts';
import { openTextModel } from '../../src-main/models/open.ts';
import type { TokenBatch } from '../../src-main/models/types.ts';
import { nextTokenObjective } from '../../src-main/tasks/next-token.ts';
import { TrainingStep, type StepReport } from '../../src-main/trainer/step.ts';
import { options } from '../effilora/support.ts';
import { data } from '../models/support.ts';
import { compilations } from '../support/compilations.ts';

beforeAll(async () => void (await openEngine('tensorflow')));

/** A tiny model whose matrices, the head among them, are packed. */
async function tinyModel(name: string): Promise<CausalLM> {
  const file = await openTextModel(path.join(data, name));
  const model = await loadCausalLM(file, 'bf16');
  await file.close();
  return model;
}

const random = randomStream(4, 'examples');
const example = (tokens: number) => {
  const inputIds = Int32Array.from({ length: tokens }, () => Math.floor(random() * 96));
  return { inputIds, labels: inputIds.map((id, t) => (t % 3 ? id : -100)) };
};
/** Micro-batches of other numbers of rows, lengths and tokens: packed ones, a lone example, one of more rows than the others. */
const BATCHES: TokenBatch[] = [[5, 9, 14, 20], [30], [3, 3, 4], [24, 31, 8, 8, 25, 12, 40], [17, 2, 2, 33]].map(
  (lengths) => packBatch(lengths.map(example), 40),
);

const TARGETS = ['q_proj', 'v_proj', 'o_proj', 'down_proj'];

function trainingStep(model: CausalLM, compile: boolean, changes: Partial<AdapterOptions> = {}, seed = 3) {
  const adapter = new Adapter(model.sites(), options({ targets: TARGETS, ...changes }), seed);
  for (const { role, variable } of adapter.trainables)
    if (role === 'B') tf.tidy(() => variable.assign(tf.randomNormal(variable.shape, 0, 0.1, 'float32', seed)));
  const optimizer = new AdamW(adapter.trainables, ADAMW_DEFAULTS);
  const reducer = new Reducer(adapter.heads, headsPerSite(adapter.options), {
    ...{ ratio: 0.5, warmup: 2, interval: 2, beta: 0.85, policy: 'topk', temperature: 1, schedule: 'step' },
    ...{ probe: false, minActivePerSite: 0, seed: 1 },
  });
  const warnings: string[] = [];
  const warn = (line: string) => void warnings.push(line);
  const step = new TrainingStep(nextTokenObjective(model), adapter, optimizer, reducer, {
    ...{ routerShare: true, recompute: true, seed: 1, compile, warn },
  });
  const dispose = () => [step, optimizer, adapter].forEach((part) => part.dispose());
  return { step, adapter, warnings, dispose };
}

/** Steps of other lengths, learning rates and, from the third on, frozen sets. */
async function run(step: TrainingStep, batches: TokenBatch[][]): Promise<StepReport[]> {
  const reports: StepReport[] = [];
  for (const [i, batch] of batches.entries()) reports.push(await step.run(i + 1, batch, 1e-2 / (i + 1)));
  return reports;
}

function expectSame(actual: StepReport[], expected: StepReport[]): void {
  actual.forEach((report, i) => {
    const wanted = expected[i]!;
    expect(Math.abs(report.loss / wanted.loss - 1)).toBeLessThan(1e-4);
    expect(Math.abs(report.gradNorm / wanted.gradNorm - 1)).toBeLessThan(1e-3);
    expect([report.frozen, report.units, report.terms]).toEqual([wanted.frozen, wanted.units, wanted.terms]);
    report.routerShare!.forEach((share, head) => expect(share).toBeCloseTo(wanted.routerShare![head]!, 4));
  });
}

describe('a compiled step', () => {
  it.each(['llama-tied', 'mistral-window', 'qwen2', 'qwen3', 'gemma3'])(
    '%s is compiled once, whatever the lengths, the learning rate and the frozen set, and gives the numbers of eager code',
    async (name) => {
      const model = await tinyModel(name);
      const [compiled, eager] = [trainingStep(model, true), trainingStep(model, false)];
      const batches = BATCHES.map((batch) => [batch]);
      let reports: StepReport[] = [];
      const count = await compilations(async () => void (reports = await run(compiled.step, batches)));
      expect(count).toBe(1);
      expect(compiled.warnings).toEqual([]);
      expectSame(reports, await run(eager.step, batches));
      expect(new Set(reports.map(({ frozen }) => frozen.length)).size).toBeGreaterThan(1);
      [compiled, eager].forEach(({ dispose }) => dispose());
      model.dispose();
    },
  );

  it.each<Partial<AdapterOptions>>([
    { name: 'lora', heads: 1 },
    { name: 'hydralora' },
    { share: 'module', router: 'layer' },
    { dora: true },
    { dropout: 0.2 },
  ])('with %o is compiled once, too', async (changes) => {
    const model = await tinyModel('qwen2');
    const { step, warnings, dispose } = trainingStep(model, true, changes);
    const count = await compilations(
      async () =>
        void (await run(
          step,
          BATCHES.map((batch) => [batch]),
        )),
    );
    expect([count, warnings]).toEqual([1, []]);
    dispose();
    model.dispose();
  });

  it('leaves the adapter where evaluation reads it: without a copy, and as it is after each step or import', async () => {
    const model = await tinyModel('qwen3');
    const { step, adapter, dispose } = trainingStep(model, true);
    const batch = BATCHES[3]!;
    const evaluate = (adaptation: Adapter) => model.labelLogProbabilities(batch, { adaptation });
    const copied = async () => {
      const copy = new Adapter(model.sites(), adapter.options, 0);
      copy.import(await adapter.export());
      return evaluate(copy).finally(() => copy.dispose());
    };
    await step.run(1, [BATCHES[0]!], 1e-2);
    const tensors = tf.memory().numTensors;
    const first = await evaluate(adapter);
    expect(tf.memory().numTensors).toBe(tensors);
    expect(first).toEqual(await copied());

    await step.run(2, [BATCHES[1]!], 1e-2);
    const second = await evaluate(adapter);
    expect(second).toEqual(await copied());
    expect(second).not.toEqual(first);

    const doubled = (await adapter.export()).map((tensor) => ({ ...tensor, data: tensor.data.map((x) => 2 * x) }));
    adapter.import(doubled);
    expect(await evaluate(adapter)).toEqual(await copied());
    await step.run(3, [BATCHES[1]!], 1e-2);
    expect(await evaluate(adapter)).toEqual(await copied());
    dispose();
    model.dispose();
  });

  it('of several micro-batches is compiled as two graphs: one adds up gradients, one applies them', async () => {
    const model = await tinyModel('llama-tied');
    const [compiled, eager] = [trainingStep(model, true), trainingStep(model, false)];
    const batches = [BATCHES.slice(0, 3), BATCHES.slice(3), BATCHES.slice(1, 4)];
    let reports: StepReport[] = [];
    const count = await compilations(async () => void (reports = await run(compiled.step, batches)));
    expect(count).toBe(2);
    expectSame(reports, await run(eager.step, batches));
    [compiled, eager].forEach(({ dispose }) => dispose());
    model.dispose();
  });

  it.each([
    ['reads a value', (x: tf.Tensor) => x.dataSync()],
    ['makes something of a size that depends on values', (x: tf.Tensor) => tf.unique(tf.reshape(x, [-1]))],
  ])('falls back to eager code with one line where it %s, and gives the same numbers', async (_, uncovered) => {
    const model = await tinyModel('llama-tied');
    const [compiled, eager] = [trainingStep(model, true), trainingStep(model, false)];
    compiled.adapter.observeHeads = (_site, x) => void uncovered(x);
    const batches = BATCHES.map((batch) => [batch]);
    const reports = await run(compiled.step, batches);
    expect(compiled.warnings).toHaveLength(1);
    expect(compiled.warnings[0]).toMatch(/^Steps are not compiled, which is slower: .+$/);
    expectSame(reports, await run(eager.step, batches));
    [compiled, eager].forEach(({ dispose }) => dispose());
    model.dispose();
  });
});
