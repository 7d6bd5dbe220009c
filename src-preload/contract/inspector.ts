import { eventIterator, oc } from '@orpc/contract';
import { z } from 'zod';
import { dropCurve } from './curves.ts';
import { job } from './jobs.ts';
import { painted, painting } from './painting.ts';
import { chatPicture, MOST_PICTURES } from './playground.ts';

/** What is measured on: a dataset by path, or what the adapter's training held out. */
export const measureData = z.object({
  path: z.string().min(1).max(4096).optional(),
  /** the first so many examples */
  examples: z.number().int().min(1).max(10_000),
});
export type MeasureData = z.infer<typeof measureData>;

const loading = z.object({ kind: z.literal('loading'), what: z.string() });
const progress = z.object({ kind: z.literal('progress'), done: z.number(), total: z.number() });

export const probeEvent = z.discriminatedUnion('kind', [
  loading,
  z.object({ kind: z.literal('loss'), loss: z.number(), examples: z.number(), name: z.string() }),
  z.object({ kind: z.literal('answer'), piece: z.string() }),
  painted.extend({ kind: z.literal('painted') }),
]);
export type ProbeEvent = z.infer<typeof probeEvent>;

/** How a router shares its heads out as there is more noise in a picture. */
export const sharesByTime = z.object({
  /** of blocks at several sizes of picture, where each one lies */
  blocks: z.array(z.string()).optional(),
  /** of each place that sees the noise: the mean omega of each head in each part of all times, from nearly clean to nothing but noise */
  places: z.array(z.object({ block: z.number(), site: z.string(), shares: z.array(z.array(z.number())) })),
});
export type SharesByTime = z.infer<typeof sharesByTime>;
export const byTimeEvent = z.discriminatedUnion('kind', [
  loading,
  progress,
  sharesByTime.extend({ kind: z.literal('shares'), name: z.string(), examples: z.number() }),
]);

/** What every head does on some examples. */
export const learnedHeads = z.object({
  /** of the data */
  name: z.string(),
  examples: z.number(),
  /** with all heads */
  loss: z.number(),
  heads: z.array(
    z.object({
      name: z.string(),
      /** mean omega over what its site sees; null without a router */
      share: z.number().nullable(),
      /** how much the loss would rise without it, to first order */
      rise: z.number(),
    }),
  ),
});
export type LearnedHeads = z.infer<typeof learnedHeads>;
export const learnedEvent = z.discriminatedUnion('kind', [
  loading,
  progress,
  learnedHeads.extend({ kind: z.literal('heads') }),
]);
export const withoutEvent = z.discriminatedUnion('kind', [
  loading,
  progress,
  /** `rise`: against the loss with all heads */
  z.object({ kind: z.literal('without'), head: z.string(), loss: z.number(), rise: z.number() }),
]);

export const similarities = z.object({
  rows: z.array(z.string()),
  columns: z.array(z.string()),
  /** cosine of row r and column c, or nothing where one of them is zero */
  values: z.array(z.array(z.number().nullable())),
});
export type Similarities = z.infer<typeof similarities>;

const omega = z.array(z.number());
const patches = z.object({
  /** where they lie, in shares of the picture's width and height, 0 to 1 */
  box: z.object({ left: z.number(), top: z.number(), width: z.number(), height: z.number() }),
  isTile: z.boolean(),
  rows: z.number(),
  columns: z.number(),
  /** of each patch, row by row, one number a head */
  omega: z.array(omega),
});
export const routed = z.object({
  /** the text's tokens; where a picture's patches stand in it, which */
  tokens: z.array(
    z.union([z.object({ text: z.string(), omega }), z.object({ picture: z.number(), part: z.number() })]),
  ),
  /** tokens behind those that were looked at */
  left: z.number(),
  pictures: z.array(
    z.object({
      name: z.string(),
      /** pixels */
      width: z.number(),
      height: z.number(),
      /** as a data URL, larger than a thumbnail */
      shown: z.string().startsWith('data:image/webp;base64,').max(4_000_000),
      parts: z.array(patches),
    }),
  ),
});
export type Routed = z.infer<typeof routed>;
export type RoutedPicture = Routed['pictures'][number];

const byId = z.object({ id: z.string().min(1).max(64) });
const heads = z.array(z.string().max(128)).max(1_000_000);
const layer = z.number().int().min(0).max(10_000);
const site = z.string().min(1).max(64);

export const inspector = {
  /** measures the loss along the drop ratios as a job; kept with the adapter when it is complete */
  startCurve: oc
    .input(
      byId.extend({
        data: measureData,
        ratios: z.array(z.number().min(0).max(1)).min(2).max(101),
        seeds: z.array(z.number().int().nonnegative()).max(10),
        renormalize: z.boolean().default(false),
      }),
    )
    .output(job),
  /** measured before, newest first */
  curves: oc.input(byId).output(z.array(dropCurve)),
  /** loss and a sample answer, or a sample picture, with some heads left out */
  probe: oc
    .input(
      byId.extend({
        heads,
        renormalize: z.boolean().default(false),
        data: measureData,
        prompt: z.string().max(20_000),
        maxTokens: z.number().int().min(1).max(512).default(48),
        /** how a model that makes pictures paints the prompt */
        painting: painting.omit({ prompt: true }).optional(),
      }),
    )
    .output(eventIterator(probeEvent)),
  /** how the router of a model that makes pictures shares its heads out in so many equal parts of the time of noise */
  sharesByTime: oc
    .input(
      byId.extend({
        heads,
        renormalize: z.boolean().default(false),
        data: measureData,
        parts: z.number().int().min(1).max(50).default(10),
      }),
    )
    .output(eventIterator(byTimeEvent)),
  /** what every head does on the examples: its router share, and what the loss would do without it, to first order */
  learned: oc.input(byId.extend({ data: measureData })).output(eventIterator(learnedEvent)),
  /** the loss without each of some heads, measured, one head at a time */
  without: oc
    .input(byId.extend({ data: measureData, heads: z.array(z.string().max(128)).min(1).max(100) }))
    .output(eventIterator(withoutEvent)),
  /** which head serves each token of a text at one site, and each patch of the pictures that it asks about */
  route: oc
    .input(
      byId.extend({
        heads,
        renormalize: z.boolean().default(false),
        text: z.string().min(1).max(20_000),
        pictures: z
          .array(chatPicture.pick({ id: true, name: true }))
          .max(MOST_PICTURES)
          .default([]),
        layer,
        site,
      }),
    )
    .output(routed),
  /** cosine of the heads of one site to each other */
  headSimilarity: oc.input(byId.extend({ layer, site })).output(similarities),
  /** cosine of the rows of A of two adapters; one of the names both have */
  rowSimilarity: oc
    .input(byId.extend({ other: z.string().min(1).max(64), name: z.string().max(128).optional() }))
    .output(similarities.extend({ name: z.string(), names: z.array(z.string()) })),
  /** a run that trains on from the adapter as it is, dropped heads left out, all others active */
  recover: oc
    .input(
      byId.extend({
        name: z.string().trim().min(1).max(120),
        steps: z.number().int().min(1).max(100_000),
        /** default: the data the adapter was trained on */
        path: z.string().min(1).max(4096).optional(),
      }),
    )
    .output(z.object({ runId: z.string() })),
};
