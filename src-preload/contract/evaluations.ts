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
  /** mean rightness of the answers, with its 95 % interval; nothing where no example has an answer that is right or wrong */
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
  /** those whose answer is right or wrong */
  questions: z.number(),
  /** what told that: the likeliest of their options, agreement with several people's answers, or that an answer is theirs to the letter */
  by: z.object({ options: z.number(), agreement: z.number(), exact: z.number() }).optional(),
  columns: z.array(evaluatedColumn),
});
export type Evaluation = z.infer<typeof evaluation>;

/** An example the columns don't agree on: other options chosen, or, without options, losses far apart. */
export const differingExample = z.object({
  question: z.string(),
  answer: z.string(),
  results: z.array(
    z.object({ loss: z.number(), chosen: z.string().nullable(), right: z.number().nullable().optional() }),
  ),
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
