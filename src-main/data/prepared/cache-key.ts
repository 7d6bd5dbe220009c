import crypto from 'node:crypto';
import type { ColumnPlan } from '../columns.ts';
import type { TokenOptions } from '../prepare.ts';

/** To be raised whenever rows become other tokens, labels or examples than before: what was prepared earlier is not used then. */
export const READER_VERSION = 7;

/**
 * What the records of a dataset depend on, as one text: its content, and of a workbook the sheet. How long an example may be is not
 * of it: records are whole.
 */
export function cacheKey(
  contentSha256: string,
  sheet: string | undefined,
  plan: ColumnPlan,
  options: TokenOptions,
): string {
  const { tokenizer, template, loss, vocabularySize } = options;
  const columns = Object.entries(plan.columns).sort(([a], [b]) => (a < b ? -1 : 1));
  const texts = [
    sheet ?? null,
    tokenizer?.description ?? null,
    template?.source ?? null,
    template?.withTools?.source ?? null,
    template?.tokens ?? null,
  ];
  return digest([READER_VERSION, contentSha256, plan.format, columns, loss, vocabularySize, ...texts.map(digest)]);
}

const digest = (value: unknown) => crypto.createHash('sha256').update(JSON.stringify(value)).digest('hex');
