import os from 'node:os';
import { fileURLToPath } from 'node:url';
import { exampleSource } from '../../src-main/data/example-source.ts';
import { flopsPerToken, memoryPlan } from '../../src-main/effilora/memory-plan.ts';
import { seenShape } from '../../src-main/effilora/seen.ts';
import { openTextModel, resolveModel } from '../../src-main/models/open.ts';
import type { EncoderConfig } from '../../src-main/models/vision/towers/config.ts';
import { taskOf } from '../../src-main/tasks/registry.ts';
import { engineFacts } from '../../src-main/trainer/engine-facts.ts';
import { TimeLeft } from '../../src-main/trainer/time-left.ts';
import { adapterStructure, type OurOptions } from './options.ts';
import { Runner } from './runner.ts';

export type Configuration = Pick<
  OurOptions,
  'model' | 'precision' | 'rows' | 'length' | 'recompute' | 'pictures' | 'tower'
>;

/** What the plan says of a configuration, and what a process that trains by it takes. */
export interface Measured {
  plannedBytes: number;
  peakBytes: number;
  /** seconds a step after three steps of calibration: predicted by them, and the median of those that follow */
  calibrated: number;
  seconds: number;
  /** of a step, as the plan counts them */
  flops: number;
}

const program = fileURLToPath(new URL('./ours-step.ts', import.meta.url));

/** Trains a few steps of full rows in a process of its own: one that compiles, some that calibrate, `steps` that are measured. */
export async function measurePlan(configuration: Configuration, steps = 3, calibrating = 3): Promise<Measured> {
  const { model, precision, rows, length, recompute, pictures = 0 } = configuration;
  const threads = Number(process.env.OMP_NUM_THREADS) || os.availableParallelism();
  const options: OurOptions = { ...configuration, rank: 16, heads: 3, frozen: 0, threads };
  const runner = new Runner<{ peakBytes: number; seconds: number[] }>(
    process.execPath,
    ['--import', 'tsx', program],
    options,
  );
  const first = await runner.run(1 + calibrating);
  const { peakBytes, seconds } = await runner.run(steps);
  runner.close();
  const tokens = rows * length;
  const time = new TimeLeft(tokens);
  for (const each of first.seconds) time.step(each, tokens);

  const file = await openTextModel(await resolveModel(model));
  const { plan } = taskOf(file);
  const facts = plan.model(file);
  const { imageSize } = { imageSize: 0, ...(file.sees?.config.tower as EncoderConfig | undefined) };
  const picture = { tiles: 1, width: imageSize, height: imageSize };
  const example = { example: { pictures: Array.from({ length: pictures }, () => picture) } };
  const examples = exampleSource(rows, () => length, () => example); // prettier-ignore
  const tower = facts.seeing?.sites.filter(({ site }) => site.startsWith('tower.')) ?? [];
  const method = adapterStructure(options, options.tower ? tower : []);
  const seen = seenShape(plan.seen(file, examples), method, rows, length, 0);
  await file.close();
  const shape = {
    ...({ method, seen, precision: 'file', products: precision } as const),
    ...{ sequenceLength: length, tokens, recompute, evaluationTokens: 0 },
  };
  return {
    plannedBytes: memoryPlan(facts, engineFacts({ name: 'tensorflow', kind: 'cpu' }), shape).total,
    peakBytes,
    calibrated: time.left(1, 0),
    seconds: seconds.sort((a, b) => a - b)[seconds.length >> 1]!,
    flops: tokens * flopsPerToken(facts, shape, length),
  };
}
