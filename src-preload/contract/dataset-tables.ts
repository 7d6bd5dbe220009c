import { oc } from '@orpc/contract';
import { z } from 'zod';
import { shownPicture } from './pictures.ts';
import { EXAMPLE_FORMATS, TEXT_ENCODINGS } from './choices.ts';

/** How the columns of a dataset are read. */
export const exampleFormat = z.enum(EXAMPLE_FORMATS);

const rowNumbers = z.array(z.number().int().positive());
const MOST_ROWS = 20_000;

/** What a table of rows holds, before any model reads it. */
export const dataLook = z.object({
  rows: z.number(),
  /** false: of the first rows alone */
  whole: z.boolean(),
  columns: z.array(
    z.object({
      name: z.string(),
      filled: z.number(),
      distinct: z.number(),
      words: z.number(),
      questions: z.number(),
      numbers: z.number(),
      examples: z.array(z.string()),
    }),
  ),
  /** the columns that look like question and answer, like one text, or like conversations */
  guess: z.object({
    question: z.string().optional(),
    answer: z.string().optional(),
    text: z.string().optional(),
    messages: z.string().optional(),
  }),
  /** its columns are known by their names: a training needs no guess */
  isRecognised: z.boolean(),
  /** pictures with captions, and nothing that is asked about them */
  ofCaptions: z.boolean(),
  broken: z.array(z.object({ reason: z.string(), rows: rowNumbers })),
  empty: rowNumbers,
  duplicates: z.object({
    same: z.array(rowNumbers),
    near: z.array(z.tuple([z.number(), z.number()])),
    contradicting: z.array(rowNumbers),
  }),
  personal: z.array(z.object({ kind: z.enum(['mail', 'phone', 'account', 'card']), rows: rowNumbers })),
  answers: z.object({ filled: z.number(), distinct: z.number(), oneWord: z.number() }).optional(),
  notes: z.array(z.string()),
  /** of a workbook the sheet that was read, and all that it has */
  sheet: z.string().optional(),
  sheets: z.array(z.string()).optional(),
});
export type DataLook = z.infer<typeof dataLook>;

export const rowPage = z.object({
  columns: z.array(z.string()),
  /** `reason`: why a row can't be read */
  rows: z.array(
    z.object({
      row: z.number(),
      values: z.array(z.string()),
      reason: z.string().optional(),
      /** the first of those it names or holds, and what is wrong with one */
      pictures: z.array(shownPicture).optional(),
      problem: z.string().optional(),
    }),
  ),
  matching: z.number(),
  all: z.number(),
  /** changes that can be taken back */
  undoable: z.number(),
});
export type RowPage = z.infer<typeof rowPage>;

export const rowChange = z.union([
  z.object({ row: z.number().int().positive(), column: z.string().max(1_000), value: z.string().max(1_000_000) }),
  z.object({ row: z.number().int().positive(), gone: z.literal(true) }),
]);
export type RowChange = z.infer<typeof rowChange>;

const madeTable = z.object({
  id: z.string(),
  rows: z.number(),
  /** rows of the file that couldn't be read, by reason */
  left: z.array(z.object({ reason: z.string(), rows: rowNumbers })),
});

export type MadeTable = z.infer<typeof madeTable>;

export const datasetTables = {
  look: oc
    .input(
      z.object({
        id: z.string(),
        question: z.string().max(1_000).optional(),
        answer: z.string().max(1_000).optional(),
      }),
    )
    .output(dataLook),
  rows: oc
    .input(
      z.object({
        id: z.string(),
        search: z.string().max(1_000).default(''),
        only: rowNumbers.max(MOST_ROWS).optional(),
        from: z.number().int().min(0).default(0),
        count: z.number().int().min(1).max(200).default(50),
      }),
    )
    .output(rowPage),
  /** a copy of the studio's own, whose rows can be changed; the file stays as it is. `encoding`: how the file is written */
  own: oc
    .input(
      z.object({
        id: z.string(),
        encoding: z.enum(Object.keys(TEXT_ENCODINGS) as [keyof typeof TEXT_ENCODINGS]).optional(),
      }),
    )
    .output(madeTable),
  /** cells as a spreadsheet copies them; `header`: their first line names the columns */
  paste: oc
    .input(z.object({ name: z.string().min(1).max(200), text: z.string().min(1).max(20_000_000), header: z.boolean() }))
    .output(madeTable),
  edit: oc.input(z.object({ id: z.string(), changes: z.array(rowChange).min(1).max(MOST_ROWS) })).output(z.object({})),
  undo: oc.input(z.object({ id: z.string() })).output(z.object({ undoable: z.number() })),
  /** its name, and how its columns are read */
  change: oc
    .input(
      z.object({
        id: z.string(),
        name: z.string().trim().min(1).max(200).optional(),
        format: exampleFormat.nullish(),
        mapping: z.record(z.string(), z.string()).nullish(),
        sheet: z.string().max(200).nullish(),
      }),
    )
    .output(z.object({})),
};
