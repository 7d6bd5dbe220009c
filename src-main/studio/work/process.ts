import { UserError } from '../../engine/types.ts';
import { jobs } from './jobs.ts';
import type { JobAnswer, JobCall } from './worker.ts';

/** The helper process: takes one job at a time off its parent and answers it. Ends with its parent. */
let queue: Promise<void> = Promise.resolve();

process.on('message', (call: JobCall) => {
  queue = queue.then(async () => {
    const answer: JobAnswer = await (jobs[call.job] as (request: unknown) => Promise<unknown>)(call.request).then(
      (result) => ({ id: call.id, result }),
      (error: unknown) => ({
        id: call.id,
        error: error instanceof Error ? error.message : String(error),
        forPeople: error instanceof UserError,
      }),
    );
    process.send?.(answer);
  });
});
process.once('disconnect', () => process.exit(0));
