import { UserError } from '../../engine/types.ts';
import { openPort } from '../../engine/port.ts';
import { jobs } from './jobs.ts';
import type { JobAnswer, JobCall } from './worker.ts';

/** The helper process: takes one job at a time off its parent and answers it. Ends with its parent. */
const port = openPort<JobAnswer>();
let queue: Promise<void> = Promise.resolve();

type Job = (request: unknown, log: (line: string) => void) => Promise<unknown>;

port.onMessage((message) => {
  const { id, job, request } = message as JobCall;
  queue = queue.then(async () => {
    const send = (answer: JobAnswer) => void port.send(answer);
    send({ id, begun: true });
    try {
      send({ id, result: await (jobs[job] as Job)(request, (line) => send({ id, line })) });
    } catch (error) {
      const message = error instanceof Error ? error.message : String(error);
      send({ id, error: message, forPeople: error instanceof UserError });
    }
  });
});
port.onClose(() => process.exit(0));
