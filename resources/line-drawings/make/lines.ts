import sharp from 'sharp';

/** Emoji as @iconify-json packages hold them: the inside of an SVG by name. */
export interface IconSet {
  width: number;
  icons: Record<string, { body: string; width?: number }>;
}

export const SIDE = 64;
/** Drawn so many times larger and then made small, for smooth lines. */
const LARGER = 4;
/** What is fainter than this is light and shade, not an outline. */
const FAINT = 0.65;

/** Where and how large, in pixels of the finished picture. */
export interface Placement {
  scale: number;
  turn: number;
  mirrored: boolean;
  right: number;
  down: number;
}

const PAINT =
  /\s(?:fill|stroke|stroke-width|stroke-linecap|stroke-linejoin|stroke-miterlimit|opacity|fill-opacity|stroke-opacity|fill-rule|clip-rule|style|filter|mask|clip-path)="[^"]*"/g;
const SHAPE = /^<(?:path|circle|ellipse|rect|polygon)\b/;
const opacity = (tag: string) => Math.min(...[...tag.matchAll(/\s(?:fill-|stroke-)?opacity="([^"]*)"/g)].map((found) => Number(found[1])), 1); // prettier-ignore
const isOpenLine = (tag: string) => /\sfill="none"/.test(tag) && /\sstroke="(?!none)/.test(tag);

/** Of 255: lighter lines would hardly show on white. */
const LIGHTEST = 130;

/** A shape's own colour, of a run of colours the first, dark enough for a line on white. */
function ink(color: string | undefined, body: string): string {
  const run = /url\(#([^)]+)\)/.exec(color ?? '')?.[1];
  const own = run === undefined ? color : /stop-color="([^"]*)"/.exec(body.slice(body.indexOf(`id="${run}"`)))?.[1];
  const digits = /^#([0-9a-f]{3}|[0-9a-f]{6})$/i.exec(own ?? '')?.[1] ?? '000';
  const each = digits.length / 3;
  const rgb = [0, 1, 2].map((i) => parseInt(digits.slice(i * each, (i + 1) * each).padStart(2, digits[i]), 16));
  const light = 0.3 * rgb[0]! + 0.59 * rgb[1]! + 0.11 * rgb[2]!;
  const hex = rgb.map((value) => Math.round(value * Math.min(1, LIGHTEST / light)).toString(16));
  return `#${hex.map((value) => value.padStart(2, '0')).join('')}`;
}

/** An icon's shapes, each to be painted white inside a line of its own colour, so that what is in front hides what is behind. */
export const outlines = (body: string): string =>
  body
    .replace(/<defs>[\s\S]*?<\/defs>|<(clipPath|mask|linearGradient|radialGradient)\b[\s\S]*?<\/\1>/g, '')
    .replace(/<(?:path|circle|ellipse|rect|polygon)\b[^>]*\/>/g, (tag) => (opacity(tag) < FAINT ? '' : tag))
    .replace(/<[a-z][^>]*>/gi, (tag) => {
      const bare = tag.replace(PAINT, '');
      const isOpen = isOpenLine(tag);
      const color = (isOpen ? /\sstroke="([^"]*)"/ : /\sfill="([^"]*)"/).exec(tag)?.[1];
      if (!SHAPE.test(tag)) return bare;
      return bare.replace(/^<[a-z]+/i, `$&${isOpen ? ' fill="none"' : ''} stroke="${ink(color, body)}"`);
    });

function placed(inside: string, size: number, { scale, turn, mirrored, right, down }: Placement): string {
  const unit = (scale * SIDE) / size;
  const move = `translate(${SIDE / 2 + right} ${SIDE / 2 + down}) rotate(${turn}) scale(${mirrored ? -unit : unit} ${unit})`;
  return `<svg xmlns="http://www.w3.org/2000/svg" width="${SIDE * LARGER}" height="${SIDE * LARGER}" viewBox="0 0 ${SIDE} ${SIDE}"><g transform="${move} translate(${-size / 2} ${-size / 2})">${inside}</g></svg>`; // prettier-ignore
}

const painted = (svg: string) =>
  sharp(Buffer.from(svg)).flatten({ background: '#ffffff' }).resize(SIDE, SIDE, { kernel: 'lanczos3' });

/** Lines on white; `line` is their width in pixels. A PNG. */
export function drawnInLines(set: IconSet, icon: string, place: Placement, line: number): Promise<Buffer> {
  const { body, width = set.width } = iconOf(set, icon);
  const style = `fill="#fff" stroke-width="${(line * width) / (place.scale * SIDE)}" stroke-linejoin="round" stroke-linecap="round"`;
  return painted(placed(`<g ${style}>${outlines(body)}</g>`, width, place)).png({ palette: true, colours: 32, effort: 10 }).toBuffer(); // prettier-ignore
}

/** In its own colours on white, as a PNG. */
export function drawnInColor(set: IconSet, icon: string, place: Placement): Promise<Buffer> {
  const { body, width = set.width } = iconOf(set, icon);
  return painted(placed(body, width, place))
    .removeAlpha()
    .png()
    .toBuffer();
}

function iconOf(set: IconSet, icon: string) {
  const found = set.icons[icon];
  if (!found) throw new Error(`The emoji set has no "${icon}".`);
  return found;
}
