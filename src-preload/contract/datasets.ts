import { oc } from '@orpc/contract';
import { z } from 'zod';
import { shownPicture } from './pictures.ts';
import { captionCalls } from './captions.ts';
import { datasetTables, exampleFormat } from './dataset-tables.ts';

export const mixPart = z.object({
  path: z.string().min(1).max(4096),
  weight: z.number().positive().max(1000).default(1),
  format: exampleFormat.optional(),
  mapping: z.record(z.string(), z.string()).optional(),
  /** of an Excel workbook; default the first that has rows */
  sheet: z.string().min(1).max(255).optional(),
  /** of a folder whose README.md names several configurations; default its default one */
  config: z.string().min(1).max(255).optional(),
  /** held out: a split that came with it, or part: of the rows that are trained on. Default validation, else test, else part */
  heldOut: z.string().min(1).max(255).optional(),
  /** train although more than 5 % of its rows can't be used */
  acceptDropped: z.boolean().optional(),
});
export type MixPart = z.infer<typeof mixPart>;

export const datasetEntry = z.object({
  id: z.string(),
  name: z.string(),
  path: z.string(),
  origin: z.enum(['example', 'library']),
  bytes: z.number(),
  description: z.string().optional(),
  state: z.enum(['ready', 'missing']),
  /** a table of the studio's own, whose rows can be changed */
  own: z.boolean(),
  /** how its columns are read; nothing: as they are recognised */
  format: exampleFormat.optional(),
  mapping: z.record(z.string(), z.string()).optional(),
  /** of a workbook */
  sheet: z.string().optional(),
  /** of a folder whose README.md names several configurations */
  config: z.string().optional(),
});
export type DatasetEntry = z.infer<typeof datasetEntry>;

/** One file of the mix: what its columns are and how they are read. */
export const mixPartReport = z.object({
  path: z.string(),
  format: z.string(),
  mapping: z.record(z.string(), z.string()),
  columns: z.array(z.string()),
  /** what was guessed about its files, and which columns are not read, as sentences */
  notes: z.array(z.string()),
  rows: z.number(),
  /** rows that can't be used; `dropsMany`: so many of them that the user has to accept it */
  dropped: z.number(),
  dropsMany: z.boolean(),
  /** of a folder: the split that is read, all that it has, and its README.md's configurations */
  split: z.string().optional(),
  splits: z.array(z.string()).optional(),
  config: z.string().optional(),
  configs: z.array(z.string()).optional(),
  /** the split that is held out, and its examples (undefined in a first look); undefined for a part of the rows */
  heldOut: z.object({ split: z.string(), examples: z.number().optional() }).optional(),
});

export const datasetPreview = z.object({
  /** false: of the first rows alone */
  whole: z.boolean(),
  parts: z.array(mixPartReport),
  report: z.object({
    examples: z.number(),
    kept: z.number(),
    truncated: z.number(),
    dropped: z.array(
      z.object({
        reason: z.string(),
        count: z.number(),
        /** the first of them */
        rows: z.array(z.number()),
      }),
    ),
    tokenLength: z.object({
      p5: z.number(),
      p50: z.number(),
      p95: z.number(),
      p99: z.number(),
      max: z.number(),
      mean: z.number(),
    }),
    tokens: z.number(),
    lossTokens: z.number(),
    lossShare: z.number(),
  }),
  /** of a model that makes pictures: how many are learned at each size, the most first */
  sizes: z.array(z.object({ width: z.number(), height: z.number(), pictures: z.number() })).optional(),
  histogram: z.array(z.object({ from: z.number(), to: z.number(), examples: z.number() })),
  /** the first examples as the model reads them; `loss` marks the tokens that carry loss */
  examples: z.array(
    z.object({
      row: z.number(),
      tokens: z.number(),
      truncated: z.boolean(),
      spans: z.array(z.object({ text: z.string(), loss: z.boolean() })),
      /** the first of those it is about, and the tokens that each becomes */
      pictures: z.array(shownPicture.extend({ tokens: z.number() })).optional(),
    }),
  ),
});
export type DatasetPreview = z.infer<typeof datasetPreview>;

/** A file before it is read as examples: what its columns could serve as. */
export const datasetColumns = z.object({
  columns: z.array(z.object({ name: z.string(), example: z.string() })),
  /** of an Excel workbook the sheet that is read, and all that it has */
  sheet: z.string().optional(),
  sheets: z.array(z.string()).optional(),
  /** by format: the fields it needs, and those it can use */
  formats: z.array(z.object({ format: exampleFormat, required: z.array(z.string()), optional: z.array(z.string()) })),
});
export type DatasetColumns = z.infer<typeof datasetColumns>;

export const datasets = {
  ...datasetTables,
  ...captionCalls,
  list: oc.output(z.array(datasetEntry)),
  add: oc.input(mixPart.pick({ path: true, config: true })).output(datasetEntry),
  /** of a folder whose README.md names several configurations and no default: their names, of which one is to be chosen */
  configurations: oc.input(mixPart.pick({ path: true })).output(z.array(z.string())),
  remove: oc.input(z.object({ id: z.string() })).output(z.object({})),
  columns: oc.input(mixPart.pick({ path: true, sheet: true, config: true })).output(datasetColumns),
  /** reads and tokenizes the mix as training would */
  preview: oc
    .input(
      z.object({
        model: z.string().min(1),
        mix: z.array(mixPart).min(1).max(32),
        sequenceLength: z.number().int().min(8).max(1_048_576),
        lossOn: z.enum(['answer', 'all']).default('answer'),
        /** 0: nothing is held out but a split by name */
        evalSplit: z.number().nonnegative().default(0.05),
        /** of a model that makes pictures: what of training.diffusion was chosen, by its key there */
        pictures: z.record(z.string().max(100), z.unknown()).optional(),
        /** of large files the first rows alone, for a first look */
        sample: z.boolean().default(false),
      }),
    )
    .output(datasetPreview),
};
