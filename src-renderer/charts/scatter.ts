import { axisLabel } from '../format.ts';
import { colour, escaped, framed } from './drawing.ts';

/** A head in a scatter. */
export interface Dot {
  name: string;
  x: number;
  y: number;
  /** what makes it large, and by its sign warm or cold */
  weight: number;
  /** known better than the others: framed */
  sure: boolean;
}

/** How the axes are called, and how the two kinds of dots. */
export interface Words {
  title: string;
  x: string;
  y: string;
  rises: string;
  falls: string;
}

const SMALLEST = 3;
const LARGEST = 14;

/** Radius of a dot, pixels: its area follows the size of its weight. */
export const radiusOf = (weight: number, most: number): number =>
  SMALLEST + (most > 0 ? (LARGEST - SMALLEST) * Math.sqrt(Math.abs(weight) / most) : 0);

export const heaviest = (dots: readonly Dot[]): number => Math.max(0, ...dots.map(({ weight }) => Math.abs(weight)));

/** Where all are above zero, x spans orders of magnitude; what is zero stands at the smallest one. */
export function onLogScale(dots: readonly Dot[]): Dot[] {
  const least = Math.min(...dots.flatMap(({ x }) => (x > 0 ? [x] : [])));
  return Number.isFinite(least) ? dots.map((dot) => ({ ...dot, x: Math.max(dot.x, least) })) : [...dots];
}

const SIZE = { width: 800, height: 420 };
const AREA = { left: 64, right: 770, top: 64, bottom: 372 };
const TICKS = 5;

/** A scatter as a drawing of its own: nothing in it comes from elsewhere. */
export function scatterDrawing(given: readonly Dot[], { title, x, y, rises, falls }: Words): string {
  const dots = onLogScale(given);
  const isLog = dots.every((dot) => dot.x > 0);
  const scaled = (value: number) => (isLog ? Math.log10(value) : value);
  const across = spanOf(dots.map((dot) => scaled(dot.x)));
  const up = spanOf(dots.map((dot) => dot.y));
  const px = (value: number) => AREA.left + ((value - across.low) / across.size) * (AREA.right - AREA.left);
  const py = (value: number) => AREA.bottom - ((value - up.low) / up.size) * (AREA.bottom - AREA.top);
  const text = (at: [number, number], words: string, anchor: string, fill = colour('muted')) =>
    `<text x="${at[0].toFixed(1)}" y="${at[1].toFixed(1)}" fill="${fill}" text-anchor="${anchor}">${escaped(words)}</text>`;
  const ticks = Array.from({ length: TICKS }, (_, at) => at / (TICKS - 1)).flatMap((part) => {
    const [over, high] = [across.low + part * across.size, up.low + part * up.size];
    return [
      `<path d="M${AREA.left} ${py(high).toFixed(1)}H${AREA.right}" stroke="${colour('line')}"/>`,
      text([AREA.left - 8, py(high) + 4], axisLabel(Number(high.toPrecision(2))), 'end'),
      text([px(over), AREA.bottom + 18], axisLabel(Number((isLog ? 10 ** over : over).toPrecision(2))), 'middle'),
    ];
  });
  const most = heaviest(dots);
  const drawn = dots.map(
    ({ name, x: over, y: high, weight, sure }) =>
      `<circle cx="${px(scaled(over)).toFixed(1)}" cy="${py(high).toFixed(1)}" r="${radiusOf(weight, most).toFixed(1)}" fill="${colour(weight < 0 ? 'ice' : 'ember')}" fill-opacity="0.6" stroke="${sure ? colour('ink') : 'none'}"><title>${escaped(name)}</title></circle>`,
  );
  const legend = [
    text([AREA.left, 48], `● ${rises}`, 'start', colour('ember')),
    text([AREA.left + 220, 48], `● ${falls}`, 'start', colour('ice')),
    text([AREA.left, 36], y, 'start'),
    text([AREA.right, SIZE.height - 8], x, 'end'),
  ];
  return framed(title, { ...SIZE, x: AREA.left, y: 20 }, [...ticks, ...drawn, ...legend].join('\n'));
}

function spanOf(values: number[]): { low: number; size: number } {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return Number.isFinite(low) ? { low, size: high - low || 1 } : { low: 0, size: 1 };
}
