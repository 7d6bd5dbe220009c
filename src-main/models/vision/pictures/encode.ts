import sharp from 'sharp';
import type { Picture } from './picture.ts';

/** A picture as a PNG file's bytes: the same ones of the same pixels each time. */
export async function encodePng({ rgb, width, height }: Picture): Promise<Uint8Array> {
  return sharp(rgb, { raw: { width, height, channels: 3 } })
    .png({ compressionLevel: 9, adaptiveFiltering: false })
    .toBuffer();
}
