import fsp from 'node:fs/promises';
import path from 'node:path';
import type { RowSource } from '../data/formats/rows.ts';
import { openRecords, writeRecords, type OpenedRecords } from '../data/prepared/cache-file.ts';
import { makeRoomBeside, preparedFolder } from '../data/prepared/cache-folder.ts';
import { fullDisk } from '../data/prepared/prepared.ts';
import type { RecordChunk } from '../data/prepared/records.ts';
import { UserError } from '../engine/types.ts';

let files = 0;

/** The records in a file that lasts as long as they are open: which pictures there are is looked at anew each time. */
export async function recordsOnDisk(
  chunks: AsyncIterable<RecordChunk>,
  { notes }: Pick<RowSource, 'notes'>,
): Promise<OpenedRecords> {
  const file = path.join(preparedFolder(), `pictures-${process.pid}-${++files}.records`);
  try {
    await writeRecords(file, chunks, () => Promise.resolve(notes));
  } catch (error) {
    throw fullDisk(error, file);
  }
  await makeRoomBeside(file);
  const opened = await openRecords(file);
  if (!opened)
    throw new UserError(`${file} can't be read back as it was written; check the disk, or set EFFILORA_CACHE`);
  const close = () => {
    opened.close();
    void fsp.rm(file, { force: true });
  };
  return { ...opened, close };
}
