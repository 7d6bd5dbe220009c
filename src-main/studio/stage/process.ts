import { UserError } from '../../engine/types.ts';
import { openPort } from '../../engine/port.ts';
import { byTimeJob } from './by-time.ts';
import { dropCurveJob, probeJob } from './measure.ts';
import { evaluateJob } from './evaluate.ts';
import { exportJob } from './export.ts';
import { learnedJob, withoutJob } from './learned.ts';
import { generateJob, templateJob } from './generate.ts';
import { paintJob } from './paint.ts';
import { routeJob } from './route.ts';
import type { Act, FromStage, StageJob, StageJobs, ToStage } from './types.ts';

/** The process behind stage.ts: takes one job at a time off its parent. Ends with its parent. */
const JOBS: { [Job in StageJob]: (request: StageJobs[Job][0], act: Act<StageJobs[Job][1]>) => Promise<void> } = {
  generate: generateJob,
  template: templateJob,
  curve: dropCurveJob,
  probe: probeJob,
  byTime: byTimeJob,
  learned: learnedJob,
  without: withoutJob,
  route: routeJob,
  evaluate: evaluateJob,
  export: exportJob,
  paint: paintJob,
};

const cancels = new Map<number, AbortController>();
let queue: Promise<void> = Promise.resolve();
const port = openPort<FromStage>();
const send = (message: FromStage) => void port.send(message);

port.onMessage((received) => {
  const message = received as ToStage;
  if ('cancel' in message) return cancels.get(message.id)?.abort();
  const { id, job, request } = message;
  const control = new AbortController();
  cancels.set(id, control);
  queue = queue.then(() => run(id, job, request, control.signal)).finally(() => cancels.delete(id));
});
port.onClose(() => process.exit(0));

async function run(id: number, job: StageJob, request: unknown, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return void send({ id, done: true });
  send({ id, begun: true });
  const act = { signal, tell: (event: unknown) => send({ id, event }) };
  try {
    await (JOBS[job] as (request: unknown, act: Act<unknown>) => Promise<void>)(request, act);
    send({ id, done: true });
  } catch (error) {
    if (signal.aborted) return void send({ id, done: true });
    const forPeople = error instanceof UserError;
    send({
      id,
      error: error instanceof Error ? (forPeople ? error.message : (error.stack ?? '')) : String(error),
      forPeople,
    });
  }
}
