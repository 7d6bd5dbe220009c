import type { DiffusionSiteShape } from '../site.ts';

/** The tokens of the text as a UNet reads them, the time of each picture, and the pixels of a level, which are halved so often. */
const CONTEXT = 'unet.text';
const TIMES = 'unet.time';
const levelRows = (level: number) => `unet.level${level}`;

/** What the rows are called that a linear or convolution of a UNet of so many levels sees. */
export function unetRowsName({ path, reads }: Pick<DiffusionSiteShape, 'path' | 'reads'>, levels: number): string {
  if (reads === 'context') return CONTEXT;
  if (path.endsWith('.time_emb_proj')) return TIMES;
  const [, way, digits] = /^(down|up)_blocks\.(\d+)\./.exec(path) ?? [];
  if (way === undefined) return levelRows(levels - 1);
  const level = way === 'down' ? Number(digits) : levels - 1 - Number(digits);
  // What leads to the next level gives that one's pixels.
  if (!path.includes('samplers.')) return levelRows(level);
  return levelRows(way === 'down' ? level + 1 : level - 1);
}

/** How many rows of each name there are of some pictures. */
export function unetRows(
  levels: number,
  { pictures, height, width, text }: { pictures: number; height: number; width: number; text: number },
): Record<string, number> {
  const counts: Record<string, number> = { [CONTEXT]: pictures * text, [TIMES]: pictures };
  for (let level = 0; level < levels; level++)
    counts[levelRows(level)] = pictures * (height >> level) * (width >> level);
  return counts;
}
