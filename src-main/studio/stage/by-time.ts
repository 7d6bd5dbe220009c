import { UserError } from '../../engine/types.ts';
import { measuredOn } from './measured.ts';
import type { Act, ByTimeEvent, ByTimeJob } from './types.ts';

/** How the router shares heads out as there is more noise in a picture. */
export async function byTimeJob(job: ByTimeJob, { tell, signal }: Act<ByTimeEvent>): Promise<void> {
  const measured = await measuredOn(job, tell);
  const { name, examples, adapter, painter } = measured;
  try {
    if (!painter?.task.sharesByTime)
      throw new UserError('The base model of this adapter writes, and only what makes pictures begins with noise.');
    const told = (done: number, total: number) => {
      signal.throwIfAborted();
      tell({ kind: 'progress', done, total });
    };
    const shares = await painter.task.sharesByTime(painter.network, examples, adapter, job.parts, { told });
    tell({ kind: 'shares', name, examples: examples.length, ...shares });
  } finally {
    measured.end();
  }
}
