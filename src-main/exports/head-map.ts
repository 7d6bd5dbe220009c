import type { AdapterDescription } from '../effilora/adapter-schema.ts';
import { readHeadName } from '../effilora/names.ts';

/** From least to most important: the light theme's heat colours (src-renderer/styles/tokens.css). */
const HEAT = [
  [0xef, 0xe7, 0xda],
  [0xf3, 0xbd, 0x8a],
  [0xdc, 0x66, 0x30],
  [0x76, 0x1a, 0x0c],
] as const;
const CELL = 14;
const GAP = 3;
const LABELS = 78;
const TOP = 22;

/**
 * The head map as a picture: a column a layer, a row a site, a bar a head, coloured by the square root of its importance.
 * Frozen heads have a dot, dropped ones are hollow.
 */
export function headMapSvg({ heads }: Pick<AdapterDescription, 'heads'>): string {
  const cells = Object.entries(heads).map(([name, head]) => {
    const { block: layer, site, head: index } = readHeadName(name)!;
    return { name, layer, site, index, ...head };
  });
  const layers = [...new Set(cells.map(({ layer }) => layer))].sort((a, b) => a - b);
  const sites = [...new Set(cells.map(({ site }) => site))];
  const perSite = 1 + Math.max(0, ...cells.map(({ index }) => index));
  const peak = Math.max(0, ...cells.map(({ importance }) => importance));
  const step = CELL + GAP;
  const rowHeight = perSite * 6 + GAP + 3;
  const width = LABELS + layers.length * step + 8;
  const height = TOP + sites.length * rowHeight + 8;
  const bars = cells.map((cell) => {
    const x = LABELS + layers.indexOf(cell.layer) * step;
    const y = TOP + sites.indexOf(cell.site) * rowHeight + cell.index * 6;
    const title = `<title>${cell.name}: importance ${cell.importance.toPrecision(3)}${stateOf(cell)}</title>`;
    if (cell.dropped)
      return `<rect x="${x}" y="${y}" width="${CELL}" height="5" fill="none" stroke="#b8ac9c" stroke-dasharray="2 1">${title}</rect>`;
    const bar = `<rect x="${x}" y="${y}" width="${CELL}" height="5" fill="${colour(cell.importance, peak)}">${title}</rect>`;
    return cell.frozenSince === null
      ? bar
      : `${bar}<circle cx="${x + CELL / 2}" cy="${y + 2.5}" r="1.2" fill="#5b5148"/>`;
  });
  const rows = sites.map((site, row) =>
    text(LABELS - 6, TOP + row * rowHeight + (perSite * 6) / 2 + 3, 'end', escaped(site)),
  );
  const every = Math.max(1, Math.ceil(layers.length / 16));
  const columns = layers.map((layer, column) =>
    column % every ? '' : text(LABELS + column * step + CELL / 2, TOP - 6, 'middle', String(layer)),
  );
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img" font-family="sans-serif" font-size="10">`,
    '<title>Head map: importance of every head by layer and site</title>',
    `<rect width="${width}" height="${height}" fill="#fffdf9"/>`,
    ...rows,
    ...columns,
    ...bars,
    '</svg>',
    '',
  ].join('\n');
}

const stateOf = ({ dropped, frozenSince }: { dropped: boolean; frozenSince: number | null }) =>
  dropped ? ', dropped' : frozenSince === null ? '' : `, frozen since step ${frozenSince}`;

const text = (x: number, y: number, anchor: string, content: string) =>
  `<text x="${x}" y="${y}" text-anchor="${anchor}" fill="#5b5148">${content}</text>`;

const escaped = (value: string) => value.replace(/[&<>"]/g, (character) => `&#${character.charCodeAt(0)};`);

function colour(importance: number, peak: number): string {
  const at = (peak > 0 ? Math.sqrt(importance / peak) : 0) * (HEAT.length - 1);
  const low = Math.min(HEAT.length - 2, Math.floor(at));
  const mixed = HEAT[low]!.map((value, i) => Math.round(value + (HEAT[low + 1]![i]! - value) * (at - low)));
  return `#${mixed.map((value) => value.toString(16).padStart(2, '0')).join('')}`;
}
