import path from 'node:path';

/** What captions lie in beside their pictures, by the picture's own name. */
const CAPTION_KINDS = ['.txt', '.caption'];

export const isCaption = (name: string): boolean => CAPTION_KINDS.includes(path.extname(name).toLowerCase());

export const stemOf = (name: string): string => name.slice(0, name.length - path.extname(name).length);

/** Where a picture's caption belongs. */
export const captionFileOf = (picture: string): string => `${stemOf(picture)}${CAPTION_KINDS[0]}`;

/** Those of some files that are the captions of pictures. */
export function captionsOf(names: string[], pictures: string[]): string[] {
  const stems = new Set(pictures.map(stemOf));
  return names.filter((name) => isCaption(name) && stems.has(stemOf(name)));
}
