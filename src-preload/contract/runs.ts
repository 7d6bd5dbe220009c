import { eventIterator, oc } from '@orpc/contract';
import { z } from 'zod';
import { MOST_RUN_NOTES } from './choices.ts';
import { recipe } from './plans.ts';
import { tagList } from './tags.ts';

export const RUN_STATUSES = ['queued', 'running', 'paused', 'interrupted', 'finished', 'stopped', 'failed'] as const;
export const runStatus = z.enum(RUN_STATUSES);
export type RunStatus = z.infer<typeof runStatus>;

export const runSummary = z.object({
  id: z.string(),
  name: z.string(),
  /** a person's own */
  notes: z.string(),
  tags: z.array(z.string()),
  status: runStatus,
  /** of a running one: what it was asked for and is about to do */
  asked: z.enum(['pause', 'stop']).nullable(),
  /** why it failed or was interrupted, or what happens now, as a sentence */
  message: z.string().nullable(),
  /** it was not resumed, as its data has changed since it began */
  dataChanged: z.boolean(),
  model: z.string(),
  dataset: z.string(),
  method: z.string(),
  step: z.number(),
  steps: z.number(),
  loss: z.number().nullable(),
  evalLoss: z.number().nullable(),
  secondsLeft: z.number().nullable(),
  createdAt: z.number(),
  startedAt: z.number().nullable(),
  endedAt: z.number().nullable(),
  /** from 1, among the queued */
  queuePosition: z.number().nullable(),
  folder: z.string(),
  /** the run's folder is gone */
  missing: z.boolean(),
});
export type RunSummary = z.infer<typeof runSummary>;

export const runDetail = z.object({
  run: runSummary,
  recipe,
  predicted: z.object({ memoryBytes: z.number(), seconds: z.number().nullable() }).nullable(),
  /** the share of frozen heads that it was last asked for, 0 to 1 */
  ratio: z.number().optional(),
});
export type RunDetail = z.infer<typeof runDetail>;

/** One line of metrics.jsonl (docs/method.md, Run files). */
export const metricsRecord = z.looseObject({
  step: z.number(),
  loss: z.number().nullish(),
  learningRate: z.number().nullish(),
  gradNorm: z.number().nullish(),
  tokensPerSecond: z.number().nullish(),
  memory: z.number().nullish(),
  secondsLeft: z.number().nullish(),
  evalLoss: z.number().nullish(),
  /** standard error of evalLoss by example, and how many examples it is of */
  evalError: z.number().nullish(),
  evalExamples: z.number().nullish(),
});
export type MetricsRecord = z.infer<typeof metricsRecord>;

/** One line of heads.jsonl, packed in the order of the names sent before: base64 of little-endian arrays. */
export const headsFrame = z.object({
  step: z.number(),
  /** Float32 a head */
  importance: z.string(),
  /** one bit a head, lowest bit first */
  frozen: z.string(),
  /** Float32 a head, or empty */
  share: z.string(),
});
export type HeadsFrame = z.infer<typeof headsFrame>;

/** `picture`: what a model that makes pictures painted, by its path in the run's folder; then there is no answer. */
export const sampleRecord = z.looseObject({
  ...{ step: z.number(), prompt: z.string(), answer: z.string().default('') },
  picture: z.string().optional(),
});
export type SampleRecord = z.infer<typeof sampleRecord>;

/** Where a view has got to in a run's files. A connection that was lost is taken up again from here. */
export const runPosition = z.object({
  /** counts the trainer's starts: files before this start may have been cut back to a checkpoint */
  attempt: z.number().int(),
  metrics: z.number().int().min(0),
  heads: z.number().int().min(0),
  samples: z.number().int().min(0),
  log: z.number().int().min(0),
});
export type RunPosition = z.infer<typeof runPosition>;

export const runEvent = z.discriminatedUnion('kind', [
  z.object({ kind: z.literal('status'), run: runSummary }),
  /** forget everything: the files are read again from their start */
  z.object({ kind: z.literal('reset'), position: runPosition }),
  /** of heads; `blocks`: where each block lies, of a network that has it at several sizes of picture */
  z.object({ kind: z.literal('names'), names: z.array(z.string()), blocks: z.array(z.string()).optional() }),
  z.object({ kind: z.literal('metrics'), records: z.array(metricsRecord), position: runPosition }),
  z.object({ kind: z.literal('heads'), frames: z.array(headsFrame), position: runPosition }),
  z.object({ kind: z.literal('samples'), records: z.array(sampleRecord), position: runPosition }),
  z.object({ kind: z.literal('log'), text: z.string(), position: runPosition }),
  /** everything written so far has been sent */
  z.object({ kind: z.literal('current') }),
]);
export type RunEvent = z.infer<typeof runEvent>;

const byId = z.object({ id: z.string().min(1).max(64) });

export const runs = {
  list: oc.output(z.object({ runs: z.array(runSummary), trashed: z.array(runSummary) })),
  get: oc.input(byId).output(runDetail),
  /** queues a run; it starts as soon as no other is running */
  create: oc
    .input(
      z.object({
        name: z.string().min(1).max(120),
        recipe,
        predicted: z.object({ memoryBytes: z.number(), seconds: z.number().nullable() }).nullable().default(null),
        hold: z.boolean().default(false),
      }),
    )
    .output(runSummary),
  /** a held, paused, stopped, failed or interrupted run goes on from its last checkpoint */
  resume: oc
    .input(
      byId.extend({ /** though its data has changed since it began */ acceptChangedData: z.boolean().default(false) }),
    )
    .output(runSummary),
  pause: oc.input(byId).output(runSummary),
  /** ends the run and keeps the adapter as it stands; one that isn't running, with the adapter of its last checkpoint */
  stop: oc.input(byId).output(runSummary),
  /** ends a running one at once, without waiting for what it is about: what came since its last checkpoint is lost */
  end: oc.input(byId).output(runSummary),
  setRatio: oc.input(byId.extend({ ratio: z.number().min(0).max(0.95) })).output(runSummary),
  rename: oc.input(byId.extend({ name: z.string().min(1).max(120) })).output(runSummary),
  /** what a person wants to remember of it; only what is given changes */
  describe: oc
    .input(
      byId.extend({
        notes: z.string().max(MOST_RUN_NOTES).optional(),
        tags: tagList.optional(),
      }),
    )
    .output(runSummary),
  /** to the trash; `restore` undoes it */
  remove: oc.input(byId).output(z.object({})),
  restore: oc.input(byId).output(runSummary),
  /** deletes a trashed run's files for good */
  purge: oc.input(byId).output(z.object({})),
  /** queued runs in their new order */
  reorder: oc.input(z.object({ ids: z.array(z.string()).max(1000) })).output(z.object({})),
  /** a picture that a run has painted, as a data URL: in small, or the whole */
  picture: oc
    .input(
      byId.extend({ picture: z.string().regex(/^samples\/[\w.-]{1,120}\.png$/), whole: z.boolean().default(false) }),
    )
    .output(z.object({ url: z.string().startsWith('data:image/'), width: z.number(), height: z.number() })),
  /** the whole metrics of a run, for comparisons */
  metrics: oc.input(byId).output(z.array(metricsRecord)),
  /** what was written since `from`, then what is written, until the connection or the subscriber ends it */
  watch: oc.input(byId.extend({ from: runPosition.optional() })).output(eventIterator(runEvent)),
  /** the list, again whenever a run's state changes (at most twice a second) */
  watchList: oc.output(eventIterator(z.object({ runs: z.array(runSummary), trashed: z.array(runSummary) }))),
};
