/** One line of a chart. */
export interface Line {
  label: string;
  points: { x: number; y: number }[];
  colour: 'ember' | 'ice' | 'muted' | 'good' | 'bad' | 'ink';
  faint?: boolean;
  dots?: boolean;
}
