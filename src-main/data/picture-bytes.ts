import fsp from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../engine/types.ts';
import { MOST_BYTES } from '../models/vision/pictures/decode.ts';
import type { PictureSource } from './picture-rows.ts';

/**
 * A row's picture as it lies there.
 * @param folder the dataset's: no file outside it is read, also where a link leads there
 * @throws UserError for what isn't there, is no file, lies outside or is too large
 */
export async function pictureBytes(source: PictureSource, folder: string, name: string): Promise<Uint8Array> {
  if ('bytes' in source) return source.bytes;
  const gone = (error: NodeJS.ErrnoException) => {
    throw new UserError(`${name} can't be read (${error.code}); is it beside the dataset?`);
  };
  const [file, real] = await Promise.all([source.path, folder].map((place) => fsp.realpath(place))).catch(gone);
  const inside = path.relative(real!, file!);
  if (inside.startsWith('..') || path.isAbsolute(inside))
    throw new UserError(`${name} lies outside the dataset’s folder, where a link leads; put the file itself there`);
  const stat = await fsp.stat(file!).catch(gone);
  if (!stat.isFile()) throw new UserError(`${name} is no file`);
  if (stat.size > MOST_BYTES)
    throw new UserError(`${name} has ${stat.size} bytes; pictures of up to ${MOST_BYTES} are read, make it smaller`);
  return fsp.readFile(file!).catch(gone);
}
