import { percent } from '../format.ts';
import { siteName } from '../sites.ts';
import type { RunData } from '../run/run-data.ts';
import { heatIndex, readHeat } from './heat.ts';

/** A theme's colour by its name. */
export const colour = (name: string): string =>
  getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();

export const escaped = (text: string): string => text.replace(/[&<>"']/g, (sign) => `&#${sign.charCodeAt(0)};`);

const HEADER = 34;
const MARGIN = 16;
/** As wide a letter of the title is at most on the mean, pixels. */
const TITLE_LETTER = 9;

/** A drawing of its own with its title above: nothing in it comes from elsewhere. `body` lies at 0, 0 of its own room. */
export function sheetOf(title: string, { width, height }: { width: number; height: number }, body: string): string {
  const wide = Math.max(Math.ceil(width), TITLE_LETTER * title.length);
  const [w, h] = [wide + 2 * MARGIN, Math.ceil(height) + HEADER + 2 * MARGIN];
  const placed = `<g transform="translate(${MARGIN} ${MARGIN + HEADER})">
${body}
</g>`;
  return framed(title, { width: w, height: h, x: MARGIN, y: MARGIN + 14 }, placed);
}

/** A whole drawing of so many pixels on the page's ground, its title at x, y. */
export function framed(title: string, at: Record<'width' | 'height' | 'x' | 'y', number>, body: string): string {
  const { width, height, x, y } = at;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${width}" height="${height}" viewBox="0 0 ${width} ${height}" font-family="system-ui, sans-serif" font-size="12" role="img" aria-label="${escaped(title)}">
<rect width="100%" height="100%" fill="${colour('surface')}"/>
<text x="${x}" y="${y}" font-size="15" fill="${colour('ink')}">${escaped(title)}</text>
${body}
</svg>
`;
}

const label = (x: number, y: number, words: string, anchor = 'start') =>
  `<text x="${x}" y="${y}" fill="${colour('muted')}" text-anchor="${anchor}">${escaped(words)}</text>`;

const CELL = { width: 14, height: 14, gap: 2, site: 10, left: 30, top: 20 };

/** The head map at a frame; `off` is what is struck through where heads are switched, else those are frozen. */
export function headMapDrawing(title: string, data: RunData, frame: number, switching: boolean): string {
  const heat = readHeat();
  const siteWidth = data.headsASite * (CELL.width + CELL.gap) + CELL.site;
  const from = frame * data.heads.length;
  const cells = data.heads.map(({ layer, site, head, name }, index) => {
    const x = CELL.left + data.sites.indexOf(site) * siteWidth + head * (CELL.width + CELL.gap);
    const y = CELL.top + layer * (CELL.height + CELL.gap);
    const struck = data.frozen[from + index] === 1;
    const importance = data.importance[from + index]!;
    const fill = struck ? (switching ? 'none' : heat.frozenFill) : heat.ramp[heatIndex(importance, data.peak)]!;
    const line = switching ? `stroke="${heat.muted}" stroke-dasharray="2 2"` : `stroke="${heat.frozenLine}"`;
    const slash = `<path d="M${x + 1} ${y + CELL.height - 1}l${CELL.width - 2} ${2 - CELL.height}" ${line}/>`;
    return `<rect x="${x}" y="${y}" width="${CELL.width}" height="${CELL.height}" fill="${fill}" ${struck ? line : ''}><title>${escaped(name)}: ${importance}</title></rect>${struck ? slash : ''}`;
  });
  const layers = Array.from({ length: data.layers }, (_, layer) =>
    label(CELL.left - 8, CELL.top + layer * (CELL.height + CELL.gap) + 11, String(layer), 'end'),
  );
  const sites = data.sites.map((site, at) => label(CELL.left + at * siteWidth, 12, siteName(site)));
  const size = {
    width: CELL.left + data.sites.length * siteWidth,
    height: CELL.top + data.layers * (CELL.height + CELL.gap),
  };
  return sheetOf(title, size, [...sites, ...layers, ...cells].join('\n'));
}

const STRIP = { width: 720, height: 20, left: 70 };

/** Rows of shares over time: the warmer, the more of a row's heads train. */
export function freezeDrawing(title: string, labels: string[], shares: Float32Array[]): string {
  const rows = labels.map((name, row) => {
    const values = shares[row]!;
    const [y, width] = [row * (STRIP.height + 2), STRIP.width / Math.max(1, values.length)];
    const warm: string[] = [];
    // Neighbours of one share are one stripe.
    for (let from = 0, to = 1; from < values.length; from = to) {
      for (to = from + 1; values[to] === values[from];) to += 1;
      warm.push(
        `<rect x="${STRIP.left + from * width}" y="${y}" width="${(to - from) * width}" height="${STRIP.height}" fill="${colour('heat-2')}" fill-opacity="${values[from]!.toFixed(3)}"/>`,
      );
    }
    const ground = `<rect x="${STRIP.left}" y="${y}" width="${STRIP.width}" height="${STRIP.height}" fill="${colour('frozen-fill')}"/>`;
    return `${label(STRIP.left - 8, y + 14, name, 'end')}${ground}${warm.join('')}`;
  });
  return sheetOf(
    title,
    { width: STRIP.left + STRIP.width, height: labels.length * (STRIP.height + 2) },
    rows.join('\n'),
  );
}

/** Bars that are shared out among heads; `colours` has one for each head. */
export function sharesDrawing(
  title: string,
  bars: { name: string; shares: number[] }[],
  colours: (head: number) => string,
): string {
  const left = Math.max(STRIP.left, 7 * Math.max(...bars.map(({ name }) => name.length)) + 16);
  const rows = bars.map(({ name, shares }, row) => {
    const y = row * (STRIP.height + 4);
    const all = shares.reduce((sum, share) => sum + share, 0) || 1;
    let x = left;
    const parts = shares.map((share, head) => {
      const width = (share / all) * STRIP.width;
      const part = `<rect x="${x.toFixed(1)}" y="${y}" width="${width.toFixed(1)}" height="${STRIP.height}" fill="${colours(head)}" stroke="${colour('surface')}"/>`;
      const middle = x + width / 2;
      x += width;
      return `${part}<text x="${middle.toFixed(1)}" y="${y + 14}" fill="${colour('ink')}" text-anchor="middle">${Math.round(share * 100)}</text>`;
    });
    return `${label(left - 8, y + 14, name, 'end')}${parts.join('')}`;
  });
  return sheetOf(title, { width: left + STRIP.width, height: bars.length * (STRIP.height + 4) }, rows.join('\n'));
}

/** Shares from 0 to 1 with their intervals, one below the other on one axis. */
export function intervalsDrawing(
  title: string,
  rows: { name: string; share: number; low: number; high: number }[],
): string {
  const left = Math.max(STRIP.left, 7 * Math.max(...rows.map(({ name }) => name.length)) + 16);
  const x = (share: number) => Number((left + share * STRIP.width).toFixed(1));
  const drawn = rows.map(({ name, share, low, high }, row) => {
    const y = row * (STRIP.height + 4);
    const axis = `<path d="M${x(0)} ${y + 10}H${x(1)}" stroke="${colour('line')}"/>`;
    const bar = `<rect x="${x(low)}" y="${y + 6}" width="${Math.max(1, (high - low) * STRIP.width).toFixed(1)}" height="8" rx="3" fill="${colour('ice-soft')}" stroke="${colour('ice')}"/>`;
    return `${label(left - 8, y + 14, name, 'end')}${axis}${bar}<circle cx="${x(share)}" cy="${y + 10}" r="4" fill="${colour('ember')}"/>`;
  });
  const foot = rows.length * (STRIP.height + 4) + 12;
  const ticks = [0, 0.25, 0.5, 0.75, 1].map((share) => label(x(share), foot, percent(share), 'middle'));
  return sheetOf(title, { width: left + STRIP.width + 20, height: foot + 4 }, [...drawn, ...ticks].join('\n'));
}

/** A number of 32 bits as it was before: without the digits that come from its being one of 64. */
export const shortNumber = (value: number): number => Number(value.toPrecision(6));

/** What of a style a drawing takes along when it leaves the page. */
const STYLE = ['fill', 'fill-opacity', 'stroke', 'stroke-width', 'font-size', 'font-weight', 'text-anchor'];

/** A drawing of the page as one of its own, its styles written into it. */
export function drawingOf(title: string, drawn: SVGSVGElement): string {
  const copy = drawn.cloneNode(true) as SVGSVGElement;
  const [own, copied] = [drawn.querySelectorAll('*'), copy.querySelectorAll('*')];
  own.forEach((element, at) => {
    const style = getComputedStyle(element);
    for (const name of STYLE) copied[at]!.setAttribute(name, style.getPropertyValue(name));
    copied[at]!.removeAttribute('class');
  });
  const { width, height } = drawn.getBoundingClientRect();
  return sheetOf(title, { width, height }, new XMLSerializer().serializeToString(copy));
}

/** Any colour that CSS knows, as one that every program knows: #rrggbb. */
export function plainColour(css: string): string {
  const probe = document.createElement('i');
  probe.style.color = css;
  document.body.append(probe);
  const context = new OffscreenCanvas(1, 1).getContext('2d')!;
  context.fillStyle = getComputedStyle(probe).color;
  probe.remove();
  context.fillRect(0, 0, 1, 1);
  return `#${[...context.getImageData(0, 0, 1, 1).data.subarray(0, 3)].map((part) => part.toString(16).padStart(2, '0')).join('')}`;
}
