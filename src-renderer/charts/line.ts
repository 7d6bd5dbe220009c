/** One line of a chart. */
export interface Line {
  label: string;
  points: { x: number; y: number }[];
  colour: 'ember' | 'ice' | 'muted' | 'good' | 'bad' | 'ink';
  faint?: boolean;
  dots?: boolean;
}

/** A chart's numbers, a row each. */
export interface Table {
  fields: string[];
  data: (string | number)[][];
}

/** A line chart's points, one row a point; what is no number has no row. */
export const pointsOf = (lines: Line[], axis: string): Table => ({
  fields: ['Line', axis, 'Value'],
  data: lines.flatMap(({ label, points }) =>
    points.filter(({ y }) => Number.isFinite(y)).map(({ x, y }) => [label, x, y]),
  ),
});
