import path from 'node:path';
import type { Samples } from '../tasks/task.ts';
import { writeAtomic } from './atomic.ts';
import type { Run } from './prepare.ts';
import type { RunLock } from './run-lock.ts';
import type { JsonLines } from './telemetry.ts';

/** What a run was measured at before its first update: start.json of its folder. */
interface StartLine {
  step: 0;
  /** mean held-out loss of the model as the run found it: the base model, or the adapter it goes on from */
  evalLoss: number;
  evalError: number | null;
  evalExamples: number;
}

/** Measures a model before its first update into start.json, and its answers into `samples` as step 0. */
export async function measureStart(
  folder: string,
  lock: RunLock,
  { task, model, data, step }: Run,
  prompts: Samples,
  samples: JsonLines,
): Promise<{ loss: number; seconds: number }> {
  const started = performance.now();
  const { loss, error, examples } = await task.evaluate(model, data.heldOut, step.adapter);
  for (const answer of await prompts.answer(0, model, step.adapter)) await samples.append(answer);
  await lock.check();
  const line: StartLine = { step: 0, evalLoss: loss, evalError: error, evalExamples: examples };
  await writeAtomic(path.join(folder, 'start.json'), `${JSON.stringify(line)}\n`);
  return { loss, seconds: (performance.now() - started) / 1000 };
}
