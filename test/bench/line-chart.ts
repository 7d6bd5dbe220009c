// Figures of the docs: one or several line charts beside each other, as an SVG.

export interface Line {
  label: string;
  points: { x: number; y: number }[];
  dashed?: boolean;
}
export interface Chart {
  title: string;
  x: string;
  y: string;
  lines: Line[];
  /** y begins at zero */
  fromZero?: boolean;
}

const COLOURS = ['#c2410c', '#1d6fa5', '#6b7280', '#15803d', '#7c3aed'];
const SIZE = { width: 380, height: 300 };
const AREA = { left: 56, right: 366, top: 62, bottom: 258 };
const TICKS = 5;

/** Charts in rows of three at most. */
export function figure(charts: Chart[], inRow = 3): string {
  const columns = Math.min(inRow, charts.length);
  const [width, height] = [columns * SIZE.width, Math.ceil(charts.length / columns) * SIZE.height];
  const placed = charts.map(
    (chart, at) =>
      `<g transform="translate(${(at % columns) * SIZE.width} ${Math.floor(at / columns) * SIZE.height})">\n${drawn(chart)}\n</g>`,
  );
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="11">
<rect width="100%" height="100%" fill="#fffdf9"/>
${placed.join('\n')}
</svg>
`;
}

function drawn({ title, x, y, lines, fromZero }: Chart): string {
  const points = lines.flatMap((line) => line.points);
  const across = span(points.map((point) => point.x));
  const up = span([...(fromZero ? [0] : []), ...points.map((point) => point.y)]);
  const px = (value: number) => AREA.left + ((value - across.low) / across.size) * (AREA.right - AREA.left);
  const py = (value: number) => AREA.bottom - ((value - up.low) / up.size) * (AREA.bottom - AREA.top);
  const ticks = Array.from({ length: TICKS }, (_, at) => at / (TICKS - 1)).flatMap((part) => {
    const [over, high] = [across.low + part * across.size, up.low + part * up.size];
    return [
      `<path d="M${AREA.left} ${fixed(py(high))}H${AREA.right}" stroke="#e7e2d8"/>`,
      text(AREA.left - 6, py(high) + 4, short(high, up.size), 'end'),
      text(px(over), AREA.bottom + 16, short(over, across.size), 'middle'),
    ];
  });
  const paths = lines.flatMap((line, at) => {
    const d = line.points.map((point, k) => `${k ? 'L' : 'M'}${fixed(px(point.x))} ${fixed(py(point.y))}`).join('');
    const colour = COLOURS[at % COLOURS.length]!;
    const [left, top] = [AREA.left + (at % 2) * 160, 36 + Math.floor(at / 2) * 14];
    const dash = line.dashed ? ' stroke-dasharray="5 4"' : '';
    return [
      `<path d="${d}" fill="none" stroke="${colour}" stroke-width="2"${dash}/>`,
      `<path d="M${left} ${top - 4}h16" stroke="${colour}" stroke-width="2"${dash}/>`,
      text(left + 20, top, line.label, 'start', colour),
    ];
  });
  return [
    `<text x="${AREA.left}" y="18" font-size="14" fill="#1f1a14">${escaped(title)}</text>`,
    ...[...ticks, ...paths],
    text(AREA.right, AREA.bottom + 32, x, 'end'),
    `<text transform="translate(12 ${AREA.top}) rotate(-90)" fill="#5f574c" text-anchor="end">${escaped(y)}</text>`,
  ].join('\n');
}

const text = (x: number, y: number, words: string, anchor: string, colour = '#5f574c') =>
  `<text x="${fixed(x)}" y="${fixed(y)}" fill="${colour}" text-anchor="${anchor}">${escaped(words)}</text>`;
const escaped = (words: string) => words.replace(/[&<>]/g, (sign) => `&#${sign.charCodeAt(0)};`);
const fixed = (value: number) => value.toFixed(1);
/** As many decimals as tell ticks of this span apart. */
const short = (value: number, size: number) =>
  value.toFixed(size >= 10 ? 0 : Math.min(4, 2 - Math.floor(Math.log10(size))));

function span(values: number[]): { low: number; size: number } {
  const [low, high] = [Math.min(...values), Math.max(...values)];
  return { low, size: high - low || 1 };
}
