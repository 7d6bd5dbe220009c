import { UserError } from '../engine/types.ts';
import { fileSha256 } from '../models/identity.ts';
import type { ChatTemplate, Tokenizer } from '../models/types.ts';
import { planColumns, readExample, type Mapping } from './columns.ts';
import { readRows } from './formats/rows.ts';
import { renderExample, tokenizeRendered } from './render.ts';
import { reportOf } from './report.ts';
import type { DataReport, Example, ExampleFormat, TokenizedExample } from './types.ts';

/** One dataset of a mix. */
export interface DatasetSource {
  path: string;
  /** how often each of its examples is seen in an epoch; default 1 */
  weight?: number;
  mapping?: Mapping;
  format?: ExampleFormat;
}

export interface DatasetOptions {
  /** needed unless every dataset is pre-tokenized */
  tokenizer?: Tokenizer;
  template?: ChatTemplate;
  loss: 'answer' | 'all';
  /** longest example in tokens; longer ones are cut at the end */
  sequenceLength: number;
  /** ids at or above it are refused */
  vocabularySize: number;
}

/** An example with what accuracy needs of it. */
export interface PreparedExample extends TokenizedExample {
  example: Example;
}

export interface Dataset {
  source: DatasetSource;
  sha256: string;
  format: ExampleFormat;
  examples: PreparedExample[];
  report: DataReport;
}

/**
 * Reads and tokenizes one dataset.
 * @throws UserError when no example is left, or when text meets a model without a tokenizer
 */
export async function readDataset(source: DatasetSource, index: number, options: DatasetOptions): Promise<Dataset> {
  const { rows, broken } = await readRows(source.path);
  const plan = planColumns(columnsOf(rows), source.path, source.mapping, source.format);
  if (plan.format !== 'tokens' && !options.tokenizer)
    throw new UserError(
      `The model has no tokenizer, and ${source.path} holds text; give examples with input_ids and labels`,
    );
  const dropped = new Map<string, number[]>();
  const drop = (reason: string, row: number) => {
    const rows = dropped.get(reason);
    if (rows) rows.push(row);
    else dropped.set(reason, [row]);
  };
  for (const { row, reason } of broken) drop(reason, row);
  const examples: PreparedExample[] = [];
  for (const row of rows) {
    const example = readExample(row, plan);
    if (typeof example === 'string') drop(example, row.row);
    else {
      const prepared = prepare(example, index, options);
      if (typeof prepared === 'string') drop(prepared, row.row);
      else examples.push(prepared);
    }
  }
  const report = reportOf(examples, rows.length + broken.length, dropped);
  if (examples.length === 0) {
    const [reason, at] = [...dropped][0] ?? ['', []];
    throw new UserError(
      `${source.path}: no example is left (${reason}, rows ${at.slice(0, 5).join(', ')}); mend the rows or name the columns with a mapping`,
    );
  }
  return { source, sha256: await fileSha256(source.path), format: plan.format, examples, report };
}

/** Column names that occur in the first rows. */
function columnsOf(rows: { fields: Record<string, unknown> }[]): string[] {
  return [...new Set(rows.slice(0, 100).flatMap((row) => Object.keys(row.fields)))];
}

/** Tokenizes one example; a text says why it can't be used. */
export function prepare(example: Example, source: number, options: DatasetOptions): PreparedExample | string {
  const tokens = tokensOrReason(example, options);
  if (typeof tokens === 'string') return tokens;
  const { inputIds, labels } = tokens;
  const tooLarge = inputIds.find((id) => id >= options.vocabularySize);
  if (tooLarge !== undefined) return `token ${tooLarge} is outside the model's vocabulary of ${options.vocabularySize}`;
  const truncated = inputIds.length > options.sequenceLength;
  const kept = Math.min(inputIds.length, options.sequenceLength);
  // The first token is predicted by nothing.
  if (!labels.slice(1, kept).some((label) => label >= 0))
    return truncated ? `no token with loss within ${options.sequenceLength} tokens` : 'no token carries loss';
  return {
    row: example.row,
    source,
    example,
    truncated,
    inputIds: Int32Array.from(inputIds.slice(0, kept)),
    labels: Int32Array.from(labels.slice(0, kept)),
  };
}

/** A template may refuse one row's messages (two users in a row, a system prompt): that row alone goes. */
function tokensOrReason(example: Example, options: DatasetOptions) {
  try {
    return tokensOf(example, options);
  } catch (error) {
    if (error instanceof UserError) return error.message;
    throw error;
  }
}

function tokensOf(example: Example, options: DatasetOptions): { inputIds: number[]; labels: number[] } {
  if (example.kind === 'tokens') return { inputIds: example.inputIds, labels: example.labels ?? example.inputIds };
  const tokenizer = options.tokenizer!;
  const rendered = renderExample(example, { tokenizer, template: options.template, loss: options.loss })!;
  // A template writes its own special tokens; plain text gets the tokenizer's.
  const plain = example.kind !== 'chat' || !options.template;
  const { ids, carriesLoss } = tokenizeRendered(rendered, tokenizer, plain);
  return { inputIds: ids, labels: ids.map((id, i) => (carriesLoss[i] ? id : -100)) };
}
