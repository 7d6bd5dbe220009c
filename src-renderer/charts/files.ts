import { axisLabel } from '../format.ts';
import { colour, escaped, framed } from './drawing.ts';
import type { Line } from './line.ts';
import type { Mark } from './overlay.ts';

const SIZE = { width: 800, height: 400 };
const AREA = { left: 64, right: 780, top: 48, bottom: 360 };
const TICKS = 5;

interface Drawing {
  title: string;
  logarithmic?: boolean;
  axis?: string;
  marks: Mark[];
}

/** A chart as a drawing of its own: nothing in it comes from elsewhere. */
export function svgOf(lines: Line[], { title, logarithmic, axis, marks }: Drawing): string {
  const scaled = (y: number) => (logarithmic ? Math.log10(y) : y);
  const drawn = lines.map((line) => ({ ...line, points: line.points.filter(({ y }) => Number.isFinite(scaled(y))) }));
  const [xs, ys] = [extent(drawn, ({ x }) => x), extent(drawn, ({ y }) => scaled(y))];
  const x = (value: number) => AREA.left + ((value - xs.low) / xs.size) * (AREA.right - AREA.left);
  const y = (value: number) => AREA.bottom - ((value - ys.low) / ys.size) * (AREA.bottom - AREA.top);
  const text = (at: [number, number], words: string, extra = '') =>
    `<text x="${at[0].toFixed(1)}" y="${at[1].toFixed(1)}" fill="${colour('muted')}" ${extra}>${escaped(words)}</text>`;
  const ticks = Array.from({ length: TICKS }, (_, at) => at / (TICKS - 1)).flatMap((part) => {
    const [over, up] = [xs.low + part * xs.size, ys.low + part * ys.size];
    const shown = logarithmic ? 10 ** up : up;
    return [
      `<path d="M${AREA.left} ${y(up).toFixed(1)}H${AREA.right}" stroke="${colour('line')}"/>`,
      text([AREA.left - 8, y(up) + 4], axisLabel(shown), 'text-anchor="end"'),
      text([x(over), AREA.bottom + 18], axisLabel(Math.round(over)), 'text-anchor="middle"'),
    ];
  });
  const happened = marks.map(
    ({ step, label, colour: name }) =>
      `<path d="M${x(step).toFixed(1)} ${AREA.top}V${AREA.bottom}" stroke="${colour(name)}" stroke-dasharray="3 3"><title>${escaped(label)}</title></path>`,
  );
  const paths = drawn.map(({ points, colour: name, faint }) => {
    const d = points.map((point, at) => `${at ? 'L' : 'M'}${x(point.x).toFixed(1)} ${y(scaled(point.y)).toFixed(1)}`);
    return `<path d="${d.join('')}" fill="none" stroke="${colour(name)}" stroke-width="${faint ? 1 : 2}" opacity="${faint ? 0.35 : 1}"/>`;
  });
  const legend = drawn.map(
    ({ label, colour: name }, at) =>
      `<text x="${AREA.left + at * 200}" y="38" fill="${colour(name)}">— ${escaped(label)}</text>`,
  );
  const below = text([AREA.right, SIZE.height - 6], axis ?? 'Step', 'text-anchor="end"');
  const body = [...ticks, ...happened, ...paths, ...legend, below].join('\n');
  return framed(title, { ...SIZE, x: AREA.left, y: 20 }, body);
}

function extent(lines: Line[], of: (point: Line['points'][number]) => number): { low: number; size: number } {
  let [low, high] = [Infinity, -Infinity];
  for (const { points } of lines)
    for (const point of points) [low, high] = [Math.min(low, of(point)), Math.max(high, of(point))];
  return Number.isFinite(low) ? { low, size: high - low || 1 } : { low: 0, size: 1 };
}
