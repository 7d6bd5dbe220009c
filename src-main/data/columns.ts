import { z } from 'zod';
import { nearest } from '../engine/nearest.ts';
import { UserError } from '../engine/types.ts';
import type { Example, ExampleFormat, Row } from './types.ts';

/** Which column serves as which field, e.g. { instruction: 'Frage', output: 'Antwort' }. */
export type Mapping = Record<string, string>;

/** The columns each format is recognised by: every required field by one of its names. Order decides between them. */
const FORMATS: { format: ExampleFormat; required: Record<string, string[]>; optional: Record<string, string[]> }[] = [
  {
    format: 'tokens',
    required: { input_ids: ['input_ids'] },
    optional: { labels: ['labels'] },
  },
  { format: 'chat', required: { messages: ['messages', 'conversations', 'conversation', 'chat'] }, optional: {} },
  {
    format: 'instruction',
    required: {
      instruction: ['instruction', 'question', 'query'],
      output: ['output', 'response', 'answer_text', 'answer'],
    },
    optional: { input: ['input', 'context'], system: ['system', 'system_prompt'], answer: ['answer'] },
  },
  {
    format: 'completion',
    required: { prompt: ['prompt'], completion: ['completion', 'response', 'chosen'] },
    optional: { answer: ['answer'] },
  },
  { format: 'text', required: { text: ['text', 'content', 'document'] }, optional: {} },
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
    return { format: candidate.format, columns: found };
  }
  const known = FORMATS.map((f) => Object.keys(f.required).join(' and ')).join('; or ');
  throw new UserError(
    `${file}: its columns (${columns.join(', ')}) fit no ${format ?? 'known'} format; needed are ${known}; or name the columns with a mapping`,
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

const ids = z.array(z.number().int().min(-100)).min(1);
const ROLES: Record<string, 'system' | 'user' | 'assistant' | 'tool'> = {
  system: 'system',
  user: 'user',
  human: 'user',
  assistant: 'assistant',
  gpt: 'assistant',
  model: 'assistant',
  bot: 'assistant',
  tool: 'tool',
  function: 'tool',
};
const messageSchema = z.looseObject({
  role: z.string().optional(),
  from: z.string().optional(),
  content: z.string().optional(),
  value: z.string().optional(),
});

/** One row as an example, or the reason why it is none. */
export function readExample({ row, fields }: Row, { format, columns }: ColumnPlan): Example | string {
  const text = (field: string): string => {
    const value = columns[field] === undefined ? undefined : fields[columns[field]];
    return value === undefined || value === null ? '' : String(value);
  };
  if (format === 'tokens')
    return tokens(row, fields[columns.input_ids!], columns.labels ? fields[columns.labels] : undefined);
  if (format === 'chat') return chat(row, fields[columns.messages!]);
  if (format === 'text') return text('text').trim() ? { kind: 'text', row, text: text('text') } : 'the text is empty';
  const answer = text('answer') || undefined;
  if (format === 'completion') {
    if (!text('completion')) return 'the completion is empty';
    return {
      kind: 'completion',
      row,
      prompt: text('prompt'),
      completion: text('completion'),
      answer,
      options: answerOptions(text('prompt')),
    };
  }
  if (!text('instruction').trim()) return 'the instruction is empty';
  if (!text('output').trim()) return 'the output is empty';
  const content = text('input') ? `${text('instruction')}\n\n${text('input')}` : text('instruction');
  const messages = [
    ...(text('system') ? [{ role: 'system' as const, content: text('system') }] : []),
    { role: 'user' as const, content },
    { role: 'assistant' as const, content: text('output') },
  ];
  return { kind: 'chat', row, messages, answer, options: answerOptions(text('instruction')) };
}

/** The options of an instruction's "Answer format: a/b/c" line. */
export function answerOptions(instruction: string): string[] | undefined {
  const [, line] = /^Answer format: *(.+)$/m.exec(instruction) ?? [];
  const options = line
    ?.split('/')
    .map((option) => option.trim())
    .filter(Boolean);
  return options && options.length > 1 ? options : undefined;
}

function tokens(row: number, inputIds: unknown, labels: unknown): Example | string {
  const parsed = ids.safeParse(typeof inputIds === 'string' ? safeJson(inputIds) : inputIds);
  if (!parsed.success || parsed.data.some((id) => id < 0)) return 'input_ids is not a list of token ids';
  if (labels === undefined || labels === null || labels === '') return { kind: 'tokens', row, inputIds: parsed.data };
  const parsedLabels = ids.safeParse(typeof labels === 'string' ? safeJson(labels) : labels);
  if (!parsedLabels.success || parsedLabels.data.length !== parsed.data.length)
    return 'labels is not a list as long as input_ids';
  return { kind: 'tokens', row, inputIds: parsed.data, labels: parsedLabels.data };
}

function chat(row: number, value: unknown): Example | string {
  const parsed = z
    .array(messageSchema)
    .min(1)
    .safeParse(typeof value === 'string' ? safeJson(value) : value);
  if (!parsed.success) return 'the messages are not a list of {role, content} or {from, value}';
  const messages = [];
  for (const message of parsed.data) {
    const name = message.role ?? message.from ?? '';
    const role = ROLES[name.toLowerCase()];
    const content = message.content ?? message.value;
    if (!role) return `the role "${name}" is not known`;
    if (content === undefined) return 'a message has no content';
    messages.push({ role, content });
  }
  if (!messages.some((message) => message.role === 'assistant')) return 'no message is the assistant’s';
  return { kind: 'chat', row, messages };
}

function safeJson(value: string): unknown {
  try {
    return JSON.parse(value);
  } catch {
    return undefined;
  }
}
