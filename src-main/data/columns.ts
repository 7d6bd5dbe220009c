import { nearest } from '../engine/nearest.ts';
import { UserError } from '../engine/types.ts';
import type { ExampleFormat } from './types.ts';

/** Which column serves as which field, e.g. { instruction: 'Frage', output: 'Antwort' }. */
export type Mapping = Record<string, string>;

const SYSTEM = { system: ['system', 'system_prompt'] };
/** Of a row: 0 leaves it out, 1 is what every row has. */
const WEIGHT = { weight: ['weight'] };
/** What several people answered to the same question. */
const ANSWERS = { answers: ['answers'] };
/** The texts of the options that an answer's letter names. */
export const OPTION_LETTERS = ['A', 'B', 'C', 'D', 'E'] as const;
const OPTIONS = Object.fromEntries(OPTION_LETTERS.map((letter) => [letter, [letter]]));
const TOOLS = { tools: ['tools'], documents: ['documents'] };

/** The columns each format is recognised by: every required field by one of its names. Order decides between them. */
const FORMATS: { format: ExampleFormat; required: Record<string, string[]>; optional: Record<string, string[]> }[] = [
  {
    format: 'tokens',
    required: { input_ids: ['input_ids'] },
    optional: { labels: ['labels'], attention_mask: ['attention_mask'], ...WEIGHT },
  },
  {
    format: 'chat',
    required: { messages: ['messages', 'conversations', 'conversation', 'chat'] },
    optional: { ...SYSTEM, ...TOOLS, ...ANSWERS, ...WEIGHT },
  },
  {
    format: 'instruction',
    required: {
      instruction: ['instruction', 'question', 'query'],
      output: ['output', 'response', 'answer_text', 'answer', 'answers'],
    },
    optional: {
      ...{ input: ['input', 'context', 'hint'], ...SYSTEM, history: ['history'], answer: ['answer'] },
      ...{ ...ANSWERS, ...OPTIONS, ...TOOLS, ...WEIGHT },
    },
  },
  {
    format: 'completion',
    required: { prompt: ['prompt'], completion: ['completion', 'response'] },
    optional: { answer: ['answer'], ...ANSWERS, label: ['label'], ...SYSTEM, ...TOOLS, ...WEIGHT },
  },
  { format: 'text', required: { text: ['text', 'content', 'document'] }, optional: WEIGHT },
];

/** The fields of each format: those it needs, and those it can use. */
export const FORMAT_FIELDS = FORMATS.map(({ format, required, optional }) => ({
  format,
  required: Object.keys(required),
  optional: Object.keys(optional),
}));

const FIELDS = [...new Set(FORMATS.flatMap(({ required, optional }) => Object.keys({ ...required, ...optional })))];

/** How to read a dataset's rows. */
export interface ColumnPlan {
  format: ExampleFormat;
  /** field -> column */
  columns: Mapping;
  /** columns of pictures, sounds or films, which no text can stand for */
  media: string[];
}

/**
 * Recognises a dataset's format by its columns; `mapping` overrides the columns of single fields, `format` the choice.
 * @throws UserError naming the columns that are there
 */
export function planColumns(
  columns: string[],
  file: string,
  mapping: Mapping = {},
  format?: ExampleFormat,
): ColumnPlan {
  checkMapping(mapping, columns, file);
  if (!format) checkPreference(columns, mapping, file);
  for (const candidate of FORMATS.filter((f) => !format || f.format === format)) {
    const found: Mapping = {};
    const take = (fields: Record<string, string[]>) => {
      for (const [field, names] of Object.entries(fields)) {
        const column = mapping[field] ?? names.find((name) => columns.includes(name));
        if (column !== undefined) found[field] = column;
      }
    };
    take(candidate.required);
    if (Object.keys(candidate.required).some((field) => !(field in found))) continue;
    take(candidate.optional);
    const media = unreadColumns(columns, found).filter((column) => MEDIA.test(column));
    return { format: candidate.format, columns: found, media };
  }
  const known = FORMATS.map((f) => Object.keys(f.required).join(' and ')).join('; or ');
  throw new UserError(
    `${file}: its columns (${columns.join(', ')}) fit no ${format ?? 'known'} format; needed are ${known}; or name the columns with a mapping`,
  );
}

const MEDIA = /^(image|picture|photo|video|audio)s?$/i;

/** The columns that no field is read from. */
export function unreadColumns(columns: string[], mapping: Mapping): string[] {
  const read = new Set(Object.values(mapping));
  return columns.filter((column) => !read.has(column));
}

/**
 * Pairs of a better and a worse answer are for methods that the studio doesn't have: to learn the better one alone is something
 * else, which the user has to say.
 */
function checkPreference(columns: string[], mapping: Mapping, file: string): void {
  if (!columns.includes('chosen') || !columns.includes('rejected') || Object.keys(mapping).length > 0) return;
  const field = columns.includes('prompt') ? 'completion' : 'messages';
  throw new UserError(
    `${file} holds preferences (chosen and rejected answers), which the studio doesn't learn from; to train on the chosen ones alone, say so with the mapping ${field}=chosen`,
  );
}

function checkMapping(mapping: Mapping, columns: string[], file: string): void {
  for (const [field, column] of Object.entries(mapping)) {
    if (!FIELDS.includes(field))
      throw new UserError(
        `${file}: the mapping names the field "${field}", which is not known; did you mean "${nearest(field, FIELDS)}"? (possible: ${FIELDS.join(', ')})`,
      );
    if (!columns.includes(column))
      throw new UserError(
        `${file}: the mapping reads "${field}" from the column "${column}", which is not there; did you mean "${nearest(column, columns)}"? (its columns are ${columns.join(', ')})`,
      );
  }
}
