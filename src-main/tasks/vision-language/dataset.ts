import crypto from 'node:crypto';
import type { ColumnPlan } from '../../data/columns.ts';
import {
  examplesOf,
  factsOf,
  firstRows,
  someLeft,
  planned,
  type DatasetOptions,
  type DatasetSource,
  type OpenDataset,
  type PreparedExample,
} from '../../data/dataset.ts';
import { exampleSource } from '../../data/example-source.ts';
import { commonFolder, isBroken, type BrokenRow, type RowSource } from '../../data/formats/rows.ts';
import { pictureColumns, pictureName, readPictureExample, type PictureExample } from '../../data/picture-rows.ts';
import { contentSha256 } from '../../data/prepared/content.ts';
import { chunksInMemory, isSmall } from '../../data/prepared/prepared.ts';
import { chunkOf, type ReadRow, type RecordChunk } from '../../data/prepared/records.ts';
import type { Example, Row } from '../../data/types.ts';
import { UserError } from '../../engine/types.ts';
import { fedOf, type FedPictures } from '../../models/vision/preparation/fed.ts';
import { PictureStore } from '../picture-store.ts';
import { recordsOnDisk } from '../records-on-disk.ts';
import type { ShownPicture } from '../task.ts';
import { pictureTokens, tokensWithPictures, type PictureReading } from './prepare.ts';
import { towerPreparation, type SeenPicture, type SeenPictureStore } from './preparation.ts';

/** An example whose pictures are read when they are needed. */
export interface SeenExample extends PreparedExample {
  /** its pictures' names */
  readonly pictures: string[];
  /** @throws UserError where a picture is another one by now */
  fed(): Promise<FedPictures>;
  /** the first of its pictures as they lie there, and how many tokens each becomes. @throws UserError as `fed` does */
  shown(most: number): Promise<ShownPicture[]>;
  /** the tokens of another conversation about the same pictures; a text says why it can't be used */
  told(other: Example): Pick<PreparedExample, 'inputIds' | 'labels'> | string;
}

type Kept = { pictures?: SeenPicture[] };

/** Rows that are looked at together: of large pictures no more are in memory. */
const ROWS_AT_ONCE = 4;
/** Rows of a first look, whose pictures are decoded. */
const FIRST_ROWS = 24;

/**
 * Reads a dataset with pictures: every one is looked at once, so that a row whose picture is missing, broken or too large is left out
 * by name. Its hash is of the pictures, too.
 * @throws UserError when no example is left
 */
export async function openPictureDataset(
  source: DatasetSource,
  index: number,
  options: DatasetOptions,
  reading: PictureReading,
): Promise<OpenDataset<SeenExample>> {
  return someLeft(await openPictures(source, index, options, reading));
}

/** The first rows of a dataset with pictures; there may be no example among them. @throws UserError where it can't be read */
export async function openPictureSample(
  source: DatasetSource,
  index: number,
  options: DatasetOptions,
  reading: PictureReading,
): Promise<OpenDataset<SeenExample> & { whole: boolean }> {
  const dataset = await openPictures(source, index, options, reading, FIRST_ROWS);
  return { ...dataset, whole: dataset.report.examples < FIRST_ROWS };
}

async function openPictures(
  source: DatasetSource,
  index: number,
  options: DatasetOptions,
  reading: PictureReading,
  most?: number,
): Promise<OpenDataset<SeenExample>> {
  const { rows: all, plan } = await planned(source, options);
  const rows = most === undefined ? all : { ...all, rows: () => firstRows(all.rows(), most) };
  const folder = commonFolder(rows.files);
  const store = new PictureStore(towerPreparation(reading.processor.options), folder);
  const hash = crypto.createHash('sha256').update(await contentSha256(rows.files));
  const chunks = pictureChunks(rows, plan, folder, reading, store, hash);
  const records = (await isSmall(rows)) ? await chunksInMemory(chunks, rows) : await recordsOnDisk(chunks, rows);
  const { examples, ...rest } = examplesOf(records, index, { ...options, long: 'drop' });
  const facts = factsOf(source, rows, plan, records, pictureColumns(plan, rows.columns));
  const seen = exampleSource(examples.count, examples.size, (i) => seenExample(examples.read(i), reading, store));
  return { ...facts, ...rest, sha256: hash.digest('hex'), examples: seen };
}

/** With its example read now, as it may be used when its file is closed. */
function seenExample(prepared: PreparedExample, reading: PictureReading, store: SeenPictureStore): SeenExample {
  const whole = { ...prepared };
  const kept = (whole.example as Kept).pictures ?? [];
  return {
    ...whole,
    pictures: kept.map(({ name }) => name),
    fed: async () => fedOf(await Promise.all(kept.map((one) => store.read(one))), reading.processor, reading.patch),
    shown: (most) =>
      Promise.all(
        kept.slice(0, most).map(async (one) => ({
          name: one.name,
          bytes: await store.bytes(one),
          tokens: pictureTokens(one, reading),
        })),
      ),
    told(other) {
      const tokens = tokensWithPictures(other, kept, reading);
      if (typeof tokens === 'string') return tokens;
      return { inputIds: Int32Array.from(tokens.inputIds), labels: Int32Array.from(tokens.labels) };
    },
  };
}

async function* pictureChunks(
  rows: RowSource,
  plan: ColumnPlan,
  folder: string,
  reading: PictureReading,
  store: SeenPictureStore,
  hash: crypto.Hash,
): AsyncGenerator<RecordChunk> {
  for await (const batch of rows.rows())
    for (let at = 0; at < batch.length; at += ROWS_AT_ONCE) {
      const some = batch.slice(at, at + ROWS_AT_ONCE);
      const read = await Promise.all(some.map((row) => readRow(row, plan, folder, reading, store)));
      for (const one of read)
        if ('example' in one) for (const { sha256 } of (one.example as Kept).pictures ?? []) hash.update(sha256);
      yield chunkOf(read, (one) => one);
    }
}

async function readRow(
  row: Row | BrokenRow,
  plan: ColumnPlan,
  folder: string,
  reading: PictureReading,
  store: SeenPictureStore,
): Promise<ReadRow> {
  if (isBroken(row)) return row;
  const example = readPictureExample(row, plan, folder);
  if (typeof example === 'string') return { row: row.row, reason: example };
  try {
    const kept = 'pictures' in example ? await keptOf(example, store) : undefined;
    const tokens = tokensWithPictures(example, kept ?? [], reading);
    if (typeof tokens === 'string') return { row: row.row, reason: tokens };
    const whole: Example & Kept = kept ? { ...example, pictures: kept } : example;
    return { row: row.row, example: whole, tokens };
  } catch (error) {
    if (error instanceof UserError) return { row: row.row, reason: error.message };
    throw error;
  }
}

async function keptOf({ pictures }: PictureExample, store: SeenPictureStore): Promise<SeenPicture[]> {
  const kept: SeenPicture[] = [];
  for (const [i, source] of pictures.entries()) kept.push(await store.take(source, pictureName(source, i)));
  return kept;
}
