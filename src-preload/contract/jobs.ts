import { eventIterator, oc } from '@orpc/contract';
import { z } from 'zod';
import { curvePoint } from './curves.ts';
import { exportOutcome } from './exports.ts';

export const JOB_STATES = ['running', 'done', 'failed', 'cancelled', 'interrupted'] as const;

/** An export, import or measurement that goes on in the studio, whether a page looks or not. */
export const job = z.object({
  id: z.string(),
  kind: z.enum(['export', 'import', 'evaluation', 'curve']),
  /** what is exported, imported or measured, for a list */
  name: z.string(),
  /** the adapter that is exported, or whose drop curve is measured */
  adapterId: z.string().nullable(),
  /** interrupted: the studio ended before it was done */
  state: z.enum(JOB_STATES),
  /** nothing while it waits for others, and after its end */
  progress: z
    .object({
      stage: z.enum(['opening', 'calibrating', 'measuring', 'evaluating', 'writing', 'checking']),
      done: z.number(),
      total: z.number(),
      secondsLeft: z.number().optional(),
      /** of a drop curve: what has been measured so far */
      points: z.array(curvePoint).optional(),
    })
    .nullable(),
  /** why it failed or was interrupted, as a sentence */
  message: z.string().nullable(),
  /** what it left: an export's files, the library's entry or the kept evaluation where there is one */
  result: z
    .object({
      outcome: exportOutcome.nullable(),
      adapterId: z.string().nullable(),
      evaluationId: z.string().optional(),
    })
    .nullable(),
  createdAt: z.number(),
  endedAt: z.number().nullable(),
});
export type Job = z.infer<typeof job>;
export type JobResult = NonNullable<Job['result']>;

const byId = z.object({ id: z.string().min(1).max(64) });

export const jobs = {
  /** newest first */
  list: oc.output(z.array(job)),
  /** the list, again whenever it changes, at most twice a second */
  watch: oc.output(eventIterator(z.array(job))),
  /** one job as it goes on, to its end; leaving the stream doesn't end the job */
  follow: oc.input(byId).output(eventIterator(job)),
  /** ends it; what it wrote is removed */
  cancel: oc.input(byId).output(z.object({})),
  /** off the list, once it has ended; its files stay */
  remove: oc.input(byId).output(z.object({})),
};
