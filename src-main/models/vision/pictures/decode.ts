import sharp, { type Metadata } from 'sharp';
import { UserError } from '../../../engine/types.ts';
import { onWhite } from './on-white.ts';
import type { Picture } from './picture.ts';
import { kindOf, refuseAnimatedPng } from './signature.ts';

// Only what is sniffed below is ever decoded; libvips knows many more formats, some of which open further files.
sharp.block({ operation: ['VipsForeignLoad'] });
sharp.unblock({
  operation: ['VipsForeignLoadPngBuffer', 'VipsForeignLoadJpegBuffer', 'VipsForeignLoadWebpBuffer'],
});
// Pictures come one after the other and seldom again: nothing of theirs is held.
sharp.cache(false);

/** A picture's bytes: 64 million pixels of PNG seldom need as many. */
export const MOST_BYTES = 128 << 20;
/** Decoded, 192 MiB: more than what cameras of 50 megapixels make. */
export const MOST_PIXELS = 64 << 20;

const readings = { ignoreIcc: true, failOn: 'error', limitInputPixels: MOST_PIXELS } as const;

/**
 * Decodes a PNG, JPEG or WebP as transformers' load_image and processors do: turned upright by its EXIF orientation, colour profiles
 * not applied, gray and palettes as RGB, transparency laid on white. Sizes are checked by the header before anything is decoded.
 * @param name the picture's, for messages
 * @throws UserError for what is broken, too large, animated, of another kind, in CMYK or of 16 bits a channel
 */
export async function decodePicture(bytes: Uint8Array, name: string): Promise<Picture> {
  const { broken } = await openedPicture(bytes, name);
  const { data, info } = await sharp(bytes, readings)
    .autoOrient()
    .toColourspace('srgb')
    .raw()
    .toBuffer({ resolveWithObject: true })
    .catch(broken);
  const { width, height, channels } = info;
  return {
    width,
    height,
    rgb: channels === 4 ? onWhite(data) : new Uint8Array(data.buffer, data.byteOffset, data.length),
  };
}

/** A picture in small. */
export interface Thumbnail {
  /** of the picture itself, upright, pixels */
  width: number;
  height: number;
  /** no side longer than `side`, on white */
  webp: Uint8Array;
}

/** A picture in small, for people. @throws UserError as `decodePicture` does */
export async function thumbnailOf(bytes: Uint8Array, name: string, side: number): Promise<Thumbnail> {
  const { header, broken } = await openedPicture(bytes, name);
  const webp = await sharp(bytes, readings)
    .autoOrient()
    .resize({ width: side, height: side, fit: 'inside', withoutEnlargement: true })
    .toColourspace('srgb')
    .flatten({ background: '#fff' })
    .webp({ quality: 80 })
    .toBuffer()
    .catch(broken);
  return { ...header.autoOrient, webp };
}

/** As the page shows it. */
export const dataUrl = ({ webp }: Thumbnail) => `data:image/webp;base64,${Buffer.from(webp).toString('base64')}`;

/** What a picture's header says, and how a failure to decode it is told. */
async function openedPicture(bytes: Uint8Array, name: string) {
  if (bytes.byteLength > MOST_BYTES)
    throw new UserError(
      `${name} has ${bytes.byteLength} bytes; pictures of up to ${MOST_BYTES} are read, make it smaller`,
    );
  const kind = kindOf(bytes, name);
  if (kind === 'PNG') refuseAnimatedPng(bytes, name);
  const broken = (error: unknown): never => {
    throw new UserError(
      `${name} is not a whole ${kind} picture (${(error as Error).message.trim().replace(/\s+/g, ' ').slice(0, 200)}); save it again`,
    );
  };
  const header = await sharp(bytes, { ...readings, limitInputPixels: false })
    .metadata()
    .catch(broken);
  checkHeader(header, name);
  return { header, broken };
}

/** What can be told before decoding. */
function checkHeader({ width, height, pages = 1, space, depth }: Metadata, name: string): void {
  if (width * height > MOST_PIXELS)
    throw new UserError(
      `${name} has ${width} x ${height} pixels; pictures of up to ${MOST_PIXELS >> 20} million are read, make it smaller`,
    );
  if (pages > 1) throw new UserError(`${name} is animated (${pages} frames); save one of them as a picture`);
  if (space === 'cmyk') throw new UserError(`${name} is in CMYK, colours for printing; save it in RGB`);
  if (depth !== 'uchar')
    throw new UserError(`${name} has more than 8 bits a channel (${depth}), which models don't take; save it with 8`);
}
