import { oc } from '@orpc/contract';
import { z } from 'zod';
import { mixPart } from './datasets.ts';

/** A recipe as `effilora train` takes it. The trainer checks it strictly; here only the parts the views read are named. */
export const recipe = z.looseObject({
  model: z.string().min(1),
  dataset: z.union([z.string(), z.array(z.looseObject({ path: z.string() }))]),
  method: z.looseObject({
    name: z.string().optional(),
    rank: z.number().optional(),
    heads: z.number().optional(),
    alpha: z.number().optional(),
    targets: z.array(z.string()).optional(),
    reducer: z.looseObject({ ratio: z.number().optional() }).optional(),
  }),
  training: z.looseObject({
    steps: z.number().optional(),
    epochs: z.number().optional(),
    batch: z.number().optional(),
    accumulate: z.number().optional(),
    sequenceLength: z.number().optional(),
    learningRate: z.number().optional(),
  }),
  engine: z.string().optional(),
  /** an adapter to start from */
  init: z.string().optional(),
});
export type Recipe = z.infer<typeof recipe>;

export const planRequest = z.object({
  model: z.string().min(1),
  mix: z.array(mixPart).min(1).max(32),
  /** missing: what the engine's device has free, or most of it */
  memoryBytes: z.number().positive().optional(),
  seconds: z.number().positive().optional(),
  /** values the user fixed, by dotted recipe key, e.g. `method.rank` */
  fixed: z.record(z.string(), z.unknown()).default({}),
});
export type PlanRequest = z.infer<typeof planRequest>;

export const plan = z.object({
  recipe,
  /** every option of method and training with its default, by dotted recipe key */
  values: z.record(z.string(), z.unknown()),
  /** the steps that are proposed whatever was fixed */
  proposed: z.object({ steps: z.number() }),
  /** examples of a step of the recipe's, as a share of those that it learns from */
  passesAStep: z.number(),
  /** how many examples are held out, of how many there are */
  heldOut: z.object({ examples: z.number(), of: z.number() }),
  fits: z.boolean(),
  /** what the run may take: what was asked for, or what the device has free, or most of it */
  budgetBytes: z.number(),
  /** the same, and no more than the device has */
  limitBytes: z.number(),
  /** the device that the memory is of */
  memoryOf: z.object({
    device: z.string(),
    kind: z.enum(['gpu', 'cpu']),
    memoryBytes: z.number(),
    /** of a GPU's now, where it is told */
    freeBytes: z.number().optional(),
  }),
  /** predicted memory by part; the sum is the predicted peak */
  memory: z.array(z.object({ part: z.string(), bytes: z.number() })),
  seconds: z.number().nullable(),
  /** how many of these are for what comes beside its steps: setting up, evaluations, sample answers */
  secondsBeside: z.number(),
  /** a run on this machine has measured the speed that `seconds` follows from; else it is a guess */
  secondsMeasured: z.boolean(),
  choices: z.array(z.object({ name: z.string(), value: z.string(), reason: z.string() })),
  warnings: z.array(z.string()),
  structure: z.object({
    layers: z.number(),
    sites: z.array(z.string()),
    heads: z.number(),
    rank: z.number(),
    trainableParameters: z.number(),
    frozenShare: z.number(),
  }),
});
export type Plan = z.infer<typeof plan>;

export const plans = {
  propose: oc.input(planRequest).output(plan),
  /** the recipe as `effilora train` reads it */
  toYaml: oc.input(z.object({ recipe })).output(z.object({ yaml: z.string() })),
};
