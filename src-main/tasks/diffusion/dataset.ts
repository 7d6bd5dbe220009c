import crypto from 'node:crypto';
import { openCaptioned, readCaptioned, type CaptionedRows } from '../../data/captions.ts';
import { firstRows, someLeft, type DatasetFacts, type DatasetSource, type OpenDataset } from '../../data/dataset.ts';
import { exampleSource, type ExampleSource } from '../../data/example-source.ts';
import { isBroken, type BrokenRow } from '../../data/formats/rows.ts';
import { chunksInMemory, isSmall } from '../../data/prepared/prepared.ts';
import { chunkOf, type ReadRow, type RecordChunk } from '../../data/prepared/records.ts';
import { reportOf } from '../../data/report.ts';
import type { Example, Row } from '../../data/types.ts';
import { UserError } from '../../engine/types.ts';
import { PictureStore, type Prepared } from '../picture-store.ts';
import { recordsOnDisk } from '../records-on-disk.ts';
import type { ShownPicture } from '../task.ts';
import { captionWith, type CaptionOptions } from './captions.ts';
import {
  bucketPreparation,
  type BucketNumbers,
  type BucketPicture,
  type BucketStore,
  type PreparationOptions,
} from './preparation.ts';

/** How captioned pictures are read for a model. */
export interface CaptionedReading {
  pictures: PreparationOptions;
  captions: Pick<CaptionOptions, 'trigger'>;
  /** the end of a caption that the model has no room for; missing: there is always room */
  left?(caption: string): string | undefined;
}

/** A captioned picture, whose pixels are read when they are needed. */
export interface CaptionedExample {
  row: number;
  /** index of the dataset in the mix */
  source: number;
  /** as the dataset has it */
  caption: string;
  /** a word that is put before it */
  trigger?: string;
  picture: BucketPicture;
  /** how often it is seen in a pass */
  repeats: number;
  /** its pixels at the size that its bucket is cut from. @throws UserError where it is another one by now */
  pixels(): Promise<Prepared<BucketNumbers>>;
  /** its file. @throws UserError as `pixels` does */
  shown(): Promise<ShownPicture>;
}

type Kept = { picture: BucketPicture; repeats: number };

/** Rows that are looked at together: of large pictures no more are in memory. */
const ROWS_AT_ONCE = 4;
const SHOWN_ROWS = 10;
/** Rows of a first look, whose pictures are decoded. */
const FIRST_ROWS = 24;

/**
 * Reads captioned pictures: every one is looked at once, so that a row whose picture is missing, broken, too small or too large is left out
 * by name. Its hash is of captions and pictures.
 * @throws UserError when no example is left
 */
export async function openCaptionedDataset(
  source: DatasetSource,
  index: number,
  reading: CaptionedReading,
): Promise<OpenDataset<CaptionedExample>> {
  return someLeft(await opened(source, index, reading));
}

/** The first rows of captioned pictures; there may be no example among them. @throws UserError where they can't be read */
export async function openCaptionedSample(
  source: DatasetSource,
  index: number,
  reading: CaptionedReading,
): Promise<OpenDataset<CaptionedExample> & { whole: boolean }> {
  const dataset = await opened(source, index, reading, FIRST_ROWS);
  return { ...dataset, whole: dataset.report.examples < FIRST_ROWS };
}

async function opened(
  source: DatasetSource,
  index: number,
  reading: CaptionedReading,
  most?: number,
): Promise<OpenDataset<CaptionedExample>> {
  if (source.format !== undefined && source.format !== 'text')
    throw new UserError(`${source.path} is to be read as "${source.format}", and a model that makes pictures learns captions; leave format out`); // prettier-ignore
  const captioned = await openCaptioned(source.path, source, source.mapping);
  const { rows: all, plan } = captioned;
  const rows = most === undefined ? all : { ...all, rows: () => firstRows(all.rows(), most) };
  const store = new PictureStore(bucketPreparation(reading.pictures), captioned.folder);
  const hash = crypto.createHash('sha256');
  const chunks = captionedChunks({ ...captioned, rows }, reading, store, hash);
  const made = (await isSmall(rows)) ? await chunksInMemory(chunks, rows) : await recordsOnDisk(chunks, rows);
  const { records, facts, close } = made;
  const examples = exampleSource(
    records.count,
    () => 1,
    (record): CaptionedExample => {
      const { text, row, picture, repeats } = records.example(record) as Extract<Example, { kind: 'text' }> & Kept;
      return {
        ...{ row, source: index, caption: text, trigger: reading.captions.trigger, picture, repeats },
        pixels: () => store.read(picture),
        shown: async () => ({ name: picture.name, bytes: await store.bytes(picture), tokens: 0 }),
      };
    },
  );
  const { sheet, sheets, split, splits, config, configs, columns } = rows;
  const long = longCaptions(examples, reading);
  const view = { examples: examples as ExampleSource<never>, dropped: [], kept: examples.count, truncated: 0, lossTokens: 0 }; // prettier-ignore
  return {
    ...{ source, sheet, sheets, split, splits, config, configs, columns, examples, close },
    buckets: bucketsOf(examples),
    ...{ format: 'text', mapping: { picture: plan.picture, caption: plan.caption }, sha256: hash.digest('hex') },
    notes: [...facts.notes, ...captioned.notes, ...long],
    report: reportOf(facts, view),
  };
}

/** Says which captions are longer than the model reads. */
function longCaptions(
  examples: ExampleSource<CaptionedExample>,
  { left, captions }: Pick<CaptionedReading, 'left' | 'captions'>,
): string[] {
  if (!left) return [];
  const rows = [...examples].filter(({ caption }) => left(captionWith(caption, captions)) !== undefined).map(({ row }) => row); // prettier-ignore
  if (rows.length === 0) return [];
  const shown = rows.slice(0, SHOWN_ROWS).join(', ');
  const all = `${shown}${rows.length > SHOWN_ROWS ? ', …' : ''}`;
  return [`The end of ${rows.length} of ${examples.count} captions is not learned, as the model reads no more (rows ${all})`]; // prettier-ignore
}

/** How many pictures are learned at each size, the most first. */
export function bucketsOf(examples: ExampleSource<CaptionedExample>): NonNullable<DatasetFacts['buckets']> {
  const counts = new Map<string, { width: number; height: number; pictures: number }>();
  for (const { picture } of examples) {
    const { bucketWidth: width, bucketHeight: height } = picture;
    const name = `${width} ${height}`;
    counts.set(name, { width, height, pictures: (counts.get(name)?.pictures ?? 0) + 1 });
  }
  return [...counts.values()].sort((a, b) => b.pictures - a.pictures);
}

async function* captionedChunks(
  captioned: CaptionedRows,
  reading: CaptionedReading,
  store: BucketStore,
  hash: crypto.Hash,
): AsyncGenerator<RecordChunk> {
  for await (const batch of captioned.rows.rows())
    for (let at = 0; at < batch.length; at += ROWS_AT_ONCE) {
      const some = batch.slice(at, at + ROWS_AT_ONCE);
      const read = await Promise.all(some.map((row) => readRow(row, captioned, reading, store)));
      for (const one of read)
        if ('example' in one) {
          const { text, picture, repeats } = one.example as Extract<Example, { kind: 'text' }> & Kept;
          hash.update(JSON.stringify([text, picture.sha256, repeats]));
        }
      yield chunkOf(read, (one) => one);
    }
}

async function readRow(
  row: Row | BrokenRow,
  { plan, folder }: CaptionedRows,
  { captions }: CaptionedReading,
  store: BucketStore,
): Promise<ReadRow> {
  if (isBroken(row)) return row;
  const read = readCaptioned(row, plan, folder, captionWith('', captions) !== '');
  if (typeof read === 'string') return { row: row.row, reason: read };
  try {
    const picture = await store.take(read.source, read.name);
    const example: Example & Kept = { kind: 'text', row: row.row, text: read.caption, picture, repeats: read.repeats };
    return { row: row.row, example, tokens: { inputIds: [], labels: [], lead: 0 } };
  } catch (error) {
    if (error instanceof UserError) return { row: row.row, reason: error.message };
    throw error;
  }
}
