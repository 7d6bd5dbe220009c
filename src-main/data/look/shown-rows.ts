import fsp from 'node:fs/promises';
import path from 'node:path';
import { formOf } from '../captions.ts';
import { captionFolder } from '../formats/picture-folder.ts';
import { commonFolder, openRows, type PlacePart, type RowSource } from '../formats/rows.ts';

/**
 * A dataset's rows as they are shown, whatever will learn from them: of a folder of pictures with captions beside them these, else as
 * they are read. `folder`: where names of pictures begin. @throws UserError
 */
export async function openShown(place: string, part: PlacePart): Promise<{ source: RowSource; folder: string }> {
  const isFolder = (await fsp.stat(place).catch(() => undefined))?.isDirectory() ?? false;
  if (isFolder && (await formOf(place)) === 'folder')
    return { source: await captionFolder(place, part), folder: path.resolve(place) };
  const source = await openRows(place, part);
  return { source, folder: commonFolder(source.files) };
}
