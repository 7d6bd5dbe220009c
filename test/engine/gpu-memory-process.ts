import fs from 'node:fs';
import { packBatch } from '../../src-main/data/batches.ts';
import { Adapter } from '../../src-main/effilora/adapter.ts';
import { AdamW, ADAMW_DEFAULTS } from '../../src-main/effilora/adamw.ts';
import { Reducer } from '../../src-main/effilora/reducer.ts';
import { collectGarbage } from '../../src-main/engine/collect-garbage.ts';
import { stepCompiler } from '../../src-main/engine/compiler.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { nextTokenObjective } from '../../src-main/tasks/next-token.ts';
import { TrainingStep } from '../../src-main/trainer/step.ts';
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
}

/** Bytes of resident memory: the most that steps took above the loaded model, and what lay there before and after an evaluation. */
export interface MemoryTold {
  step: number;
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
    ...{ dropout: 0, rsLora: false, dora: false },
  },
  1,
);
const optimizer = new AdamW(adapter.trainables, ADAMW_DEFAULTS);
const reducer = new Reducer(adapter.heads, 2, {
  ...{ ratio: 0, warmup: 100, interval: 100, beta: 0.85, policy: 'topk', temperature: 1, schedule: 'step' },
  ...{ probe: false, minActivePerSite: 0, seed: 1 },
});
const step = new TrainingStep(nextTokenObjective(model), adapter, optimizer, reducer, {
  ...{ routerShare: false, recompute, seed: 1, warn: (line: string) => void process.exit(console.error(line) ?? 1) },
});
const losses: number[] = [];
const train = async () => void losses.push((await step.run(losses.length + 1, [batch], 1e-3)).loss);
const loaded = resident();
await train();
await train();
const before = resident();
const peak = field('VmHWM') - loaded;
if (asked.evaluate) {
  await model.labelLogProbabilities(batch, { adaptation: adapter });
  await train();
}
const told: MemoryTold = { step: peak, before, after: resident(), losses };
console.log(JSON.stringify(told));
process.exit(0);
