import { UserError } from '../engine/types.ts';
import type { DataReport } from './types.ts';

/** A dataset that loses more than this share of its rows is not trained on unless the user says so. */
const MOST_DROPPED = 0.05;
/** Row numbers shown of each reason. */
const SHOWN_ROWS = 10;

/** Why rows were left out, a line a reason: how many, why, and the first of them. */
export function droppedLines({ dropped }: Pick<DataReport, 'dropped'>): string[] {
  return dropped.map(({ reason, rows }) => {
    const shown = rows.slice(0, SHOWN_ROWS).join(', ');
    return `${rows.length}: ${reason} (rows ${shown}${rows.length > SHOWN_ROWS ? ', …' : ''})`;
  });
}

export const dropsMany = ({ examples, kept }: Pick<DataReport, 'examples' | 'kept'>): boolean =>
  examples - kept > MOST_DROPPED * examples;

/** @throws UserError for a dataset that loses many rows, unless that was accepted */
export function checkDropped(path: string, report: DataReport, acceptDropped = false): void {
  if (acceptDropped || !dropsMany(report)) return;
  const { examples, kept } = report;
  throw new UserError(
    `${path}: ${examples - kept} of ${examples} rows can't be used (${droppedLines(report).join('; ')}); mend them, or train on the others with --accept-dropped, or acceptDropped: true under the dataset in the recipe`,
  );
}
