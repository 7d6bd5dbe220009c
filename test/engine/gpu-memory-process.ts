import fs from 'node:fs';
import { packBatch } from '../../src-main/data/batches.ts';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { AdamW, ADAMW_DEFAULTS } from '../../src-main/effilora/adamw.ts';
import { Reducer } from '../../src-main/effilora/reducer.ts';
import { collectGarbage } from '../../src-main/engine/collect-garbage.ts';
import { stepCompiler } from '../../src-main/engine/compiler.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import type { Products } from '../../src-main/engine/products.ts';
import type { Addon } from '../../src-main/engine/tensorflow/addon.ts';
import { nextTokenObjective } from '../../src-main/tasks/next-token.ts';
import { TrainingStep } from '../../src-main/trainer/step.ts';
import { peakAllocated } from '../support/allocated.ts';
import { openGpuConfiguration } from '../support/gpu-configuration.ts';
import { type ModelShape, shapedModel } from '../support/shaped-model.ts';

/** What a process of this kind is told. */
export interface MemoryAsked {
  /** as on a GPU, or on the processor with our own operations */
  gpu: boolean;
  recompute: boolean;
  shape: ModelShape;
  rows: number;
  length: number;
  evaluate: boolean;
  dora?: boolean;
  precision?: Products;
}

/** Bytes of resident memory: the most that steps took above the loaded model, and, where it evaluates, the most and least that lay there before and after. */
export interface MemoryTold {
  step: number;
  /** the most that the tensors of a step take at once, beside the variables */
  tensors: number;
  before: number;
  after: number;
  losses: number[];
}

// Prints MemoryTold for MemoryAsked; built for gpu-configuration-memory.test.ts (test/support/processes.ts).
const asked = JSON.parse(process.argv[2]!) as MemoryAsked;
const field = (name: string) =>
  1024 * Number(new RegExp(`^${name}:\\s+(\\d+)`, 'm').exec(fs.readFileSync('/proc/self/status', 'utf8'))![1]);
/** What lies there when garbage has been given back. */
const resident = () => {
  collectGarbage();
  stepCompiler()!.trim();
  return field('VmRSS');
};

await (asked.gpu ? openGpuConfiguration() : openEngine('tensorflow'));
const { addon } = stepCompiler() as unknown as { addon: Addon };
const model = await shapedModel(asked.shape);
const { rows, length, recompute } = asked;
const example = (row: number) => {
  const inputIds = Int32Array.from({ length }, (_, t) => (row * 31 + t * 7) % asked.shape.vocabulary);
  return { inputIds, labels: inputIds };
};
const batch = packBatch(Array.from({ length: rows }, (_, row) => example(row)), length); // prettier-ignore
const adapter = new Adapter(
  model.sites(),
  {
    ...{
      name: 'effilora',
      rank: 4,
      heads: 2,
      alpha: 8,
      targets: ['q_proj', 'v_proj'],
      share: 'global',
      router: 'site',
    },
    ...{ dropout: 0, rsLora: false, dora: asked.dora ?? false },
  },
  1,
);
const optimizer = new AdamW(adapter.trainables, ADAMW_DEFAULTS);
const reducer = new Reducer(adapter.heads, 2, {
  ...{ ratio: 0, warmup: 100, interval: 100, beta: 0.85, policy: 'topk', temperature: 1, schedule: 'step' },
  ...{ probe: false, minActivePerSite: 0, seed: 1 },
});
const step = new TrainingStep(nextTokenObjective(model), adapter, optimizer, reducer, {
  ...{
    routerShare: false,
    recompute,
    seed: 1,
    precision: asked.precision,
    warn: (line: string) => void process.exit(console.error(line) ?? 1),
  },
});
const losses: number[] = [];
const train = async () => void losses.push((await step.run(losses.length + 1, [batch], 1e-3)).loss);
const loaded = resident();
await train();
await train();
const peak = field('VmHWM') - loaded;
/** What lies there after each of some goes: one alone is two hundredths more or less, as the allocator has it. */
async function residents(work: () => Promise<unknown>): Promise<number[]> {
  const all: number[] = [];
  for (let go = 0; go < 3; go++) {
    await work();
    all.push(resident());
  }
  return all;
}
const evaluated = async () => {
  await model.labelLogProbabilities(batch, { adaptation: adapter });
  await train();
};
const before = asked.evaluate ? Math.max(...(await residents(train))) : 0;
const after = asked.evaluate ? Math.min(...(await residents(evaluated))) : 0;
/** A step that TensorFlow traces before it is run. */
async function traced(): Promise<number> {
  const { run } = addon;
  let tensors = 0;
  addon.run = (...given) => {
    addon.run = run;
    tensors = peakAllocated(new Uint8Array(addon.profile(...given)));
    return run.apply(addon, given);
  };
  await train();
  return tensors;
}
const told: MemoryTold = { step: peak, before, after, losses: [...losses], tensors: await traced() };
console.log(JSON.stringify(told));
process.exit(0);
