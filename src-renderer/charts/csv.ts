import { unparse } from 'papaparse';
import type { Line } from './line.ts';

/** A chart's points as CSV: one row a point; what is no number has no row. */
export function csvOf(lines: Line[], axis: string): string {
  const data = lines.flatMap(({ label, points }) =>
    points.filter(({ y }) => Number.isFinite(y)).map(({ x, y }) => [label, x, y]),
  );
  return `${unparse({ fields: ['Line', axis, 'Value'], data }, { newline: '\n' })}\n`;
}
