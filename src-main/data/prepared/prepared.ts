import fsp from 'node:fs/promises';
import path from 'node:path';
import { withLock } from '../../engine/lock.ts';
import { UserError } from '../../engine/types.ts';
import type { ColumnPlan } from '../columns.ts';
import type { RowSource } from '../formats/rows.ts';
import { contentSha256 } from './content.ts';
import type { TokenOptions } from '../prepare.ts';
import { addRow } from './row-facts.ts';
import { makeRoomBeside, preparedFolder } from './cache-folder.ts';
import { touch } from '../../engine/cache-room.ts';
import { cacheKey } from './cache-key.ts';
import { openRecords, writeRecords, type Follow, type OpenedRecords } from './cache-file.ts';
import { recordsOnEveryCore } from './pool.ts';
import { joinedChunks, RecordIndex, Records, recordsOf, type RecordChunk } from './records.ts';

/** Smaller datasets are tokenized sooner than a thread has started, and are not kept. */
const SMALL_BYTES = 2 ** 20;

/** What is wanted of a dataset's records. */
export interface Wanted {
  /** they are counted and measured, not read */
  indexAlone?: boolean;
  /** told of them while they are made, where they are not there from before */
  follow?: Follow;
}

/**
 * A dataset's rows as records: a small one's in memory, a large one's in a file of the user's cache, made on every core unless it is
 * there from before and whole. `sha256` is of its content.
 * @throws UserError when a file changes under the reader, or the cache can't be written
 */
export async function preparedRecords(
  rows: RowSource,
  sha256: string,
  plan: ColumnPlan,
  options: TokenOptions,
  { indexAlone = false, follow }: Wanted = {},
): Promise<OpenedRecords> {
  if (await isSmall(rows)) return recordsInMemory(rows, plan, options);
  const file = path.join(preparedFolder(), `${cacheKey(sha256, rows.sheet, plan, options)}.records`);
  const there = await opened(file, indexAlone);
  // Whoever is first prepares it, others wait and use what it made.
  if (there) return there;
  const isSame = async () => {
    if ((await contentSha256(rows.files)) === sha256) return;
    throw new UserError(`${rows.files.join(', ')} was changed while it was read; start again once it is whole`);
  };
  const chunks = () => recordsOnEveryCore(rows.rows(), plan, options);
  return withLock(
    `${file}.lock`,
    async () => (await opened(file, indexAlone)) ?? make(file, chunks(), rows, isSame, follow),
  );
}

async function opened(file: string, indexAlone: boolean): Promise<OpenedRecords | undefined> {
  const records = await openRecords(file, indexAlone);
  if (records) await touch(file);
  return records;
}

export async function isSmall({ files }: Pick<RowSource, 'files'>): Promise<boolean> {
  const sizes = await Promise.all(files.map(async (file) => (await fsp.stat(file)).size));
  return sizes.reduce((sum, size) => sum + size, 0) < SMALL_BYTES;
}

/** Rows as records that are kept nowhere else. */
export const recordsInMemory = (
  rows: Pick<RowSource, 'rows' | 'notes'>,
  plan: ColumnPlan,
  options: TokenOptions,
): Promise<OpenedRecords> => chunksInMemory(chunksOf(rows, plan, options), rows);

async function* chunksOf(rows: Pick<RowSource, 'rows'>, plan: ColumnPlan, options: TokenOptions) {
  for await (const batch of rows.rows()) yield recordsOf(batch, plan, options);
}

/** All of the chunks, in memory. */
export async function chunksInMemory(
  all: AsyncIterable<RecordChunk>,
  rows: Pick<RowSource, 'notes'>,
): Promise<OpenedRecords> {
  const chunks: RecordChunk[] = [];
  for await (const chunk of all) chunks.push(chunk);
  const { body, index, runs, rows: count, dropped } = joinedChunks(chunks);
  const read = (target: Uint8Array, offset: number) => target.set(body.subarray(offset, offset + target.length));
  const byReason = new Map<string, number[]>();
  for (const { reason, row } of dropped) addRow(byReason, reason, row);
  const facts = { rows: count, dropped: [...byReason], notes: [...rows.notes] };
  return { records: new Records(RecordIndex.of(index), runs, { read }), facts, close: () => {} };
}

async function make(
  file: string,
  chunks: AsyncIterable<RecordChunk>,
  { notes }: RowSource,
  isSame: () => Promise<void>,
  follow?: Follow,
): Promise<OpenedRecords> {
  try {
    const finish = async () => {
      await isSame();
      return notes;
    };
    await writeRecords(file, chunks, finish, follow);
  } catch (error) {
    throw fullDisk(error, file);
  }
  await makeRoomBeside(file);
  const made = await openRecords(file);
  if (!made) throw new UserError(`${file} can't be read back as it was written; check the disk, or set EFFILORA_CACHE`);
  return made;
}

export function fullDisk(error: unknown, file: string): unknown {
  const { code } = error as NodeJS.ErrnoException;
  if (!['ENOSPC', 'EDQUOT', 'EFBIG', 'EACCES', 'EROFS'].includes(code ?? '')) return error;
  return new UserError(
    `The prepared dataset can't be written to ${path.dirname(file)} (${code}); make room there, or name another folder with EFFILORA_CACHE`,
  );
}
