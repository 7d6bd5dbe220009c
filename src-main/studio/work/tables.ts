import fsp from 'node:fs/promises';
import path from 'node:path';
import type { DataLook, RowPage, ShownPicture } from '../../../src-preload/contract/index.ts';
import { datasetContent, unpackedName } from '../../data/formats/bytes.ts';
import { decodeWindows1252 } from '../../data/formats/windows-1252.ts';
import { lookAt } from '../../data/look/look.ts';
import { openRows } from '../../data/formats/rows.ts';
import { pageOf, type RowOfPage } from '../../data/look/page.ts';
import { pictureBytes } from '../../data/picture-bytes.ts';
import { isOfPictures } from '../../data/picture-rows.ts';
import { UserError } from '../../engine/types.ts';
import { copyRows, undoable } from '../datasets/own-rows.ts';
import { named } from './preview.ts';
import { thumbnail } from './thumbnail.ts';
import type { Jobs } from './types.ts';

type Request<Name extends keyof Jobs> = Parameters<Jobs[Name]>[0];

export async function lookAtTable({ path: file, question, answer, ...part }: Request<'look'>): Promise<DataLook> {
  const look = await lookAt(file, part, (question ?? answer) ? { question, answer } : undefined);
  return { ...look, notes: named(look.notes, file) };
}

export async function pageOfTable({ sheet, config, ...request }: Request<'rows'>): Promise<RowPage> {
  const { folder, rows, ...page } = await pageOf(request, { sheet, config });
  const shown = [];
  // One after the other: large pictures are decoded for it.
  for (const row of rows) shown.push(await shownRow(row, folder));
  return {
    ...page,
    rows: shown,
    undoable: await undoable(request.path).catch(() => 0),
  };
}

/** Pictures of one row. */
const SHOWN_PICTURES = 4;

/** A row with its pictures in small; the first that can't be read is named. */
async function shownRow({ pictures, ...row }: RowOfPage, folder: string): Promise<RowPage['rows'][number]> {
  const shown: ShownPicture[] = [];
  let { problem } = row;
  for (const { name, source } of pictures.slice(0, SHOWN_PICTURES))
    try {
      shown.push({ name, ...(await thumbnail({ name, bytes: await pictureBytes(source, folder, name) })) });
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      problem ??= error.message;
    }
  return { ...row, problem, pictures: shown.length > 0 ? shown : undefined };
}

/** Where the encoding is given, of the same text in UTF-8. */
export async function ownTable({ path: from, encoding, file, ...part }: Request<'ownTable'>) {
  if ((await openRows(from, part)).columns.some(isOfPictures))
    throw new UserError(
      `${from} is about pictures, which lie beside it: a copy elsewhere would lose them. Change the file itself.`,
    );
  if (encoding === undefined) return copyRows(from, part, file);
  const again = `${file}.again${path.extname(unpackedName(from))}`;
  try {
    await fsp.writeFile(again, await decoded(from, encoding), { mode: 0o600 });
    return await copyRows(again, part, file);
  } catch (error) {
    if (error instanceof UserError) throw new UserError(error.message.replaceAll(again, from));
    throw error;
  } finally {
    await fsp.rm(again, { force: true });
  }
}

async function decoded(file: string, encoding: string): Promise<string> {
  if ((await fsp.stat(file)).isDirectory())
    throw new UserError(`${file} is a folder, whose files are read as they are. Add one of its files to say how it was written.`); // prettier-ignore
  const parts: Uint8Array[] = [];
  for await (const part of datasetContent(file)) parts.push(part);
  const bytes = Buffer.concat(parts);
  try {
    return encoding === 'windows-1252'
      ? decodeWindows1252(bytes)
      : new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    throw new UserError(`${file} is not written so: some of its bytes stand for nothing there. Choose another.`);
  }
}
