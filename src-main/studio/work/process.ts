import { UserError } from '../../engine/types.ts';
import { jobs } from './jobs.ts';
import type { JobAnswer, JobCall } from './worker.ts';

/** The helper process: takes one job at a time off its parent and answers it. Ends with its parent. */
let queue: Promise<void> = Promise.resolve();

type Job = (request: unknown, log: (line: string) => void) => Promise<unknown>;

process.on('message', ({ id, job, request }: JobCall) => {
  queue = queue.then(async () => {
    const send = (answer: JobAnswer) => process.send?.(answer);
    try {
      send({ id, result: await (jobs[job] as Job)(request, (line) => send({ id, line })) });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      send({ id, error: message, forPeople: error instanceof UserError });
    }
  });
});
process.once('disconnect', () => process.exit(0));
