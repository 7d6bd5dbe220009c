import { oc } from '@orpc/contract';
import { z } from 'zod';
import { measureData } from './inspector.ts';
import { job } from './jobs.ts';

export const evaluatedColumn = z.object({
  /** nothing: the base model alone */
  adapter: z.string().nullable(),
  name: z.string(),
  /** mean over all label tokens */
  loss: z.number(),
  /** share of the questions whose right option was likeliest, with its 95 % interval; nothing where none has options */
  accuracy: z.object({ share: z.number(), low: z.number(), high: z.number() }).nullable(),
});
export type EvaluatedColumn = z.infer<typeof evaluatedColumn>;

export const evaluation = z.object({
  id: z.string(),
  name: z.string(),
  createdAt: z.number(),
  model: z.string(),
  data: z.string(),
  examples: z.number(),
  /** those with options to choose from */
  questions: z.number(),
  columns: z.array(evaluatedColumn),
});
export type Evaluation = z.infer<typeof evaluation>;

/** An example the columns don't agree on: other options chosen, or, without options, losses far apart. */
export const differingExample = z.object({
  question: z.string(),
  answer: z.string(),
  results: z.array(z.object({ loss: z.number(), chosen: z.string().nullable() })),
});
export type DifferingExample = z.infer<typeof differingExample>;

const byId = z.object({ id: z.string().min(1).max(64) });

export const evaluations = {
  /** measures as a job, which keeps the result when it is complete */
  start: oc
    .input(
      z.object({
        name: z.string().trim().min(1).max(120),
        /** the base model where no column names an adapter */
        model: z.string().min(1).max(4096),
        adapters: z.array(z.string().max(64).nullable()).min(1).max(12),
        data: measureData,
      }),
    )
    .output(job),
  /** newest first */
  list: oc.output(z.array(evaluation)),
  get: oc
    .input(byId)
    .output(z.object({ evaluation, differing: z.array(differingExample), differingInAll: z.number() })),
  remove: oc.input(byId).output(z.object({})),
};
