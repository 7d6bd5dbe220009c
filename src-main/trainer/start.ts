import path from 'node:path';
import type { KeepSample, Samples } from '../tasks/task.ts';
import { makeFolder, writeAtomic } from './atomic.ts';
import type { Run } from './prepare.ts';
import type { Training } from './run-context.ts';
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
  at: Pick<Training, 'folder' | 'lock'> & { run: Run },
  prompts: Samples,
  samples: JsonLines,
): Promise<{ loss: number; seconds: number }> {
  const { folder, lock, run } = at;
  const { task, model, data, step } = run;
  const started = performance.now();
  const { loss, error, examples } = await task.evaluate(model, data.heldOut, step.adapter);
  for (const answer of await prompts.answer(0, model, step.adapter, keepSamples(at))) await samples.append(answer);
  await lock.check();
  const line: StartLine = { step: 0, evalLoss: loss, evalError: error, evalExamples: examples };
  await writeAtomic(path.join(folder, 'start.json'), `${JSON.stringify(line)}\n`);
  return { loss, seconds: (performance.now() - started) / 1000 };
}

/** Of a run's folder: pictures that samples.jsonl names. */
export const SAMPLES_FOLDER = 'samples';

/** Keeps what samples are beside their lines, one file after the other; none lies there half-written. */
export function keepSamples({ folder, lock }: Pick<Training, 'folder' | 'lock'>): KeepSample {
  return async (name, bytes) => {
    await lock.check();
    await makeFolder(path.join(folder, SAMPLES_FOLDER));
    await writeAtomic(path.join(folder, SAMPLES_FOLDER, name), bytes);
    return `${SAMPLES_FOLDER}/${name}`;
  };
}
