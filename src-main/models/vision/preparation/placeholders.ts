import { UserError } from '../../../engine/types.ts';
import type { PreparedPicture } from './options.ts';

/** How a family writes a picture into a text: what stands for it before, and the tokens it becomes. */
export type Placeholder =
  | { kind: 'idefics3'; image: string; around: string; global: string; perTile: number }
  | { kind: 'gemma3'; image: string; begin: string; end: string; perPicture: number }
  /** `further`: tokens of the tower that are no patches; `dropped`: those left out again */
  | { kind: 'llava'; image: string; patch: number; further: number; dropped: number }
  | { kind: 'qwen'; image: string; patch: number; merge: number };

/** What a user's text has where a picture belongs. */
export const markOf = (placeholder: Placeholder) =>
  placeholder.kind === 'gemma3' ? placeholder.begin : placeholder.image;

/** The text that a picture becomes, as transformers' processors write it: one `image` for each of the tower's features. */
export function pictureText(placeholder: Placeholder, picture: Omit<PreparedPicture, 'rgb'>): string {
  const { image } = placeholder;
  switch (placeholder.kind) {
    case 'idefics3':
      return tilesText(placeholder, picture);
    case 'gemma3':
      return `\n\n${placeholder.begin}${image.repeat(placeholder.perPicture)}${placeholder.end}\n\n`;
    case 'llava': {
      const { patch, further, dropped } = placeholder;
      return image.repeat(Math.floor(picture.height / patch) * Math.floor(picture.width / patch) + further - dropped);
    }
    case 'qwen':
      return image.repeat((picture.height * picture.width) / (placeholder.patch * placeholder.merge) ** 2);
  }
}

function tilesText(
  { image, around, global, perTile }: Extract<Placeholder, { kind: 'idefics3' }>,
  { rows, columns }: Pick<PreparedPicture, 'rows' | 'columns'>,
): string {
  const images = image.repeat(perTile);
  const whole = `${around}${global}${images}${around}`;
  if (rows === 0) return whole;
  const row = (r: number) =>
    Array.from({ length: columns }, (_, c) => `${around}<row_${r + 1}_col_${c + 1}>${images}`).join('');
  return `${Array.from({ length: rows }, (_, r) => `${row(r)}\n`).join('')}\n${whole}`;
}

/** Puts each picture's tokens where its mark stands. @throws UserError when there are not as many marks as pictures */
export function withPictures(text: string, placeholder: Placeholder, pictures: Omit<PreparedPicture, 'rgb'>[]): string {
  const mark = markOf(placeholder);
  const pieces = text.split(mark);
  if (pieces.length - 1 !== pictures.length)
    throw new UserError(
      `The text has ${pieces.length - 1} of ${mark} for ${pictures.length} pictures; write one where each picture belongs`,
    );
  return pieces.reduce((done, piece, i) => done + pictureText(placeholder, pictures[i - 1]!) + piece);
}
