// npm run bench:plan: the plan's peak against the measured one, over a grid of configurations, each in a process of its own.
import os from 'node:os';
import { fileURLToPath } from 'node:url';
import { memoryPlan } from '../../src-main/effilora/memory-plan.ts';
import { openModelFile, resolveModel } from '../../src-main/models/open.ts';
import { engineFacts, modelFacts } from '../../src-main/studio/work/plan.ts';
import { adapterStructure, type OurOptions } from './options.ts';
import { Runner } from './runner.ts';

type Shape = Pick<OurOptions, 'rows' | 'length' | 'recompute'>;

const MODELS = (process.env.BENCH_MODELS ?? 'smollm2-135m,gemma3-270m').split(',');
const SHAPES: Shape[] = [
  { rows: 1, length: 128, recompute: false },
  { rows: 4, length: 128, recompute: false },
  { rows: 4, length: 128, recompute: 1 },
  { rows: 1, length: 512, recompute: false },
  { rows: 1, length: 1024, recompute: 2 },
  { rows: 4, length: 256, recompute: 1 },
];
const threads = Number(process.env.OMP_NUM_THREADS) || os.availableParallelism();
const program = fileURLToPath(new URL('./ours-step.ts', import.meta.url));
const megabytes = (bytes: number) => (bytes / 1e6).toFixed(0);

for (const model of MODELS) {
  const file = await openModelFile(await resolveModel(model));
  const facts = modelFacts(file);
  await file.close();
  for (const shape of SHAPES) {
    const options: OurOptions = { model, precision: 'f32', rank: 16, heads: 3, frozen: 0, threads, ...shape };
    const runner = new Runner<{ peakBytes: number }>(process.execPath, ['--import', 'tsx', program], options);
    const { peakBytes } = await runner.run(2);
    runner.close();
    const { total } = memoryPlan(facts, engineFacts(true), {
      method: adapterStructure(options),
      precision: 'file',
      sequenceLength: shape.length,
      batch: shape.rows,
      recompute: shape.recompute,
    });
    const error = (100 * (total / peakBytes - 1)).toFixed(1);
    const what = `${model} ${shape.rows} x ${shape.length}, ${Number(shape.recompute)} blocks recomputed together`;
    console.log(`${what}: predicted ${megabytes(total)} MB, measured ${megabytes(peakBytes)} MB, ${error} %`);
  }
}
