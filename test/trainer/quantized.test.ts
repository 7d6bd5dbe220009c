import { afterAll, beforeAll, expect, it } from 'vitest';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { AdamW, ADAMW_DEFAULTS } from '../../src-main/effilora/adamw.ts';
import { headsPerSite } from '../../src-main/effilora/methods/structure.ts';
import { Reducer } from '../../src-main/effilora/reducer.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import type { Products } from '../../src-main/engine/products.ts';
import { stepCompiler } from '../../src-main/engine/compiler.ts';
import type { Compiler } from '../../src-main/engine/tensorflow/compile.ts';
import { loadCausalLM } from '../../src-main/models/causal-lm.ts';
import { openTextModel, resolveModel } from '../../src-main/models/open.ts';
import type { ModelFile, TokenBatch } from '../../src-main/models/types.ts';
import type { WeightFormat } from '../../src-main/models/weight-format.ts';
import { nextTokenObjective } from '../../src-main/tasks/next-token.ts';
import { TrainingStep } from '../../src-main/trainer/step.ts';
import { options } from '../effilora/support.ts';

const STEPS = 2;
let file: ModelFile;
beforeAll(async () => {
  await openEngine('tensorflow');
  file = await openTextModel(await resolveModel('smollm2-135m'));
});
afterAll(() => file.close());

/** Two rows of a text, every second token a label. */
function batchOf(text: string): TokenBatch {
  const [rows, length] = [2, 24];
  const inputIds = Int32Array.from(file.tokenizer!.encode(text.repeat(4)).slice(0, rows * length));
  return {
    rows,
    length,
    inputIds,
    labels: inputIds.map((id, t) => (t % 2 ? id : -100)),
    positions: inputIds.map((_, t) => t % length),
    segments: new Int32Array(rows * length),
  };
}

/** Losses and gradient norms of some steps; the gradients' way leads through every frozen product. */
async function train(format: WeightFormat, precision: Products) {
  const model = await loadCausalLM(file, format);
  const structure = options({ rank: 4, heads: 2, targets: ['q_proj', 'v_proj', 'gate_proj', 'down_proj'] });
  const adapter = new Adapter(model.sites(), structure, 7);
  const optimizer = new AdamW(adapter.trainables, ADAMW_DEFAULTS);
  const reducer = new Reducer(adapter.heads, headsPerSite(structure), {
    ...{
      ratio: 0,
      warmup: 1,
      interval: 1000,
      beta: 0.85,
      policy: 'topk',
      temperature: 1,
      schedule: 'step',
      probe: true,
    },
    ...{ minActivePerSite: 0, seed: 1 },
  });
  const warnings: string[] = [];
  const warn = (line: string) => void warnings.push(line);
  const step = new TrainingStep(nextTokenObjective(model), adapter, optimizer, reducer, {
    ...{ routerShare: true, recompute: true, seed: 1, precision, warn },
  });
  const reports: number[][] = [];
  const batch = batchOf(
    'Every morning the baker at the corner weighs the flour twice, and never trusts the second number. ',
  );
  for (let n = 1; n <= STEPS; n++) {
    const { loss, gradNorm } = await step.run(n, [batch], 2e-3);
    reports.push([loss, gradNorm]);
  }
  expect(warnings).toEqual([]);
  // blocks are functions that every layer calls, whichever weights are its
  expect((stepCompiler() as Compiler).sessionOf(model.weights).functions.size).toBeLessThan(8);
  step.dispose();
  optimizer.dispose();
  adapter.dispose();
  model.dispose();
  return reports;
}

const furthest = (ours: number[][], theirs: number[][]) =>
  Math.max(...ours.flatMap((step, n) => step.map((value, i) => Math.abs(value / theirs[n]![i]! - 1))));

it('trains on the blocks of a file as on their numbers in f32: losses and gradient norms of every step', async () => {
  const plain = await train('f32', 'f32');
  expect(plain[0]![0]).toBeGreaterThan(plain[STEPS - 1]![0]!);
  expect(furthest(await train('auto', 'f32'), plain)).toBeLessThan(2e-4);
});

it('in bf16 products, too', async () => {
  expect(furthest(await train('auto', 'bf16'), await train('f32', 'bf16'))).toBeLessThan(0.01);
});

it('in integers near f32', async () => {
  expect(furthest(await train('auto', 'int8'), await train('auto', 'f32'))).toBeLessThan(0.03);
});
