import { UserError } from '../engine/types.ts';
import { planColumns, unreadColumns, type ColumnPlan, type Mapping } from './columns.ts';
import type { ExampleSource } from './example-source.ts';
import { openRows, type BrokenRow, type PlacePart, type RowSource } from './formats/rows.ts';
import type { DatasetOptions, PreparedExample } from './prepare.ts';
import type { Follow, OpenedRecords } from './prepared/cache-file.ts';
import { contentSha256 } from './prepared/content.ts';
import { isSmall, preparedRecords, recordsInMemory, type Wanted } from './prepared/prepared.ts';
import { viewOf } from './prepared/view.ts';
import { reportOf } from './report.ts';
import type { DataReport, ExampleFormat, Row } from './types.ts';

export { prepare, type DatasetOptions, type PreparedExample } from './prepare.ts';

/** One dataset of a mix. */
export interface DatasetSource extends PlacePart {
  path: string;
  /** how often each of its examples is seen in an epoch; default 1 */
  weight?: number;
  mapping?: Mapping;
  format?: ExampleFormat;
}

/** What is known of a dataset that was read. */
export interface DatasetFacts extends Pick<RowSource, 'sheet' | 'sheets' | 'split' | 'splits' | 'config' | 'configs'> {
  source: DatasetSource;
  sha256: string;
  format: ExampleFormat;
  /** names of its columns, and which of them serve as which field */
  columns: string[];
  mapping: Mapping;
  /** what was guessed about its files, and which columns are not read, as sentences */
  notes: readonly string[];
  report: DataReport;
  /** of captioned pictures: at which sizes they are learned, pixels */
  buckets?: { width: number; height: number; pictures: number }[];
}

export interface Dataset extends DatasetFacts {
  examples: PreparedExample[];
}

/** A dataset whose examples are read when they are needed. */
export interface OpenDataset<Example = PreparedExample> extends DatasetFacts {
  examples: ExampleSource<Example>;
  /** ends reading */
  close(): void;
}

/**
 * Reads and tokenizes one dataset, or finds it prepared from before. `index` is its place in the mix.
 * @throws UserError when no example is left, or when text meets a model without a tokenizer
 */
export async function openDataset(source: DatasetSource, index: number, options: DatasetOptions): Promise<OpenDataset> {
  return openWhole(source, index, options);
}

/** What becomes of a dataset's rows: `openDataset` without its examples, and so without reading them. @throws UserError as it does */
export async function measureDataset(
  source: DatasetSource,
  index: number,
  options: DatasetOptions,
): Promise<DatasetFacts> {
  const dataset = await openWhole(source, index, options, { indexAlone: true });
  dataset.close();
  return dataset;
}

/** `openDataset`, and `follow` is told of its records while they are made, unless it is small or they are there from before. */
export const openFollowed = (source: DatasetSource, index: number, options: DatasetOptions, follow: Follow) =>
  openWhole(source, index, options, { follow });

async function openWhole(
  source: DatasetSource,
  index: number,
  options: DatasetOptions,
  wanted?: Wanted,
): Promise<OpenDataset> {
  const { rows, plan } = await planned(source, options);
  const sha256 = await contentSha256(rows.files);
  const prepared = await preparedRecords(rows, sha256, plan, options, wanted);
  const dataset = { ...factsOf(source, rows, plan, prepared), sha256, ...examplesOf(prepared, index, options) };
  return someLeft(dataset);
}

/** The first rows of a large dataset, the whole of a small one; there may be no example among them. @throws UserError */
export async function openSample(
  source: DatasetSource,
  index: number,
  options: DatasetOptions,
  most: number,
): Promise<OpenDataset & { whole: boolean }> {
  const { rows, plan } = await planned(source, options);
  if (await isSmall(rows)) return { ...(await openDataset(source, index, options)), whole: true };
  const first = { notes: rows.notes, rows: () => firstRows(rows.rows(), most) };
  const prepared = await recordsInMemory(first, plan, options);
  const whole = prepared.facts.rows < most;
  return { ...factsOf(source, rows, plan, prepared), sha256: '', whole, ...examplesOf(prepared, index, options) };
}

/** A dataset's rows and how they are read. @throws UserError */
export async function planned(source: DatasetSource, { tokenizer }: DatasetOptions) {
  const rows = await openRows(source.path, source);
  const plan = planColumns(rows.columns, source.path, source.mapping, source.format);
  if (plan.format !== 'tokens' && !tokenizer)
    throw new UserError(
      `The model has no tokenizer, and ${source.path} holds text; give examples with input_ids and labels`,
    );
  return { rows, plan };
}

/** What is known of a dataset; `alsoRead`: columns that no field is read from, and that are read. */
export function factsOf(
  source: DatasetSource,
  { columns, sheet, sheets, split, splits, config, configs }: RowSource,
  { format, columns: mapping }: ColumnPlan,
  { facts }: OpenedRecords,
  alsoRead: string[] = [],
) {
  const unread = unreadColumns(columns, mapping).filter((name) => !alsoRead.includes(name));
  const left = unread.length
    ? [`Of ${source.path} these columns are not read: ${unread.map((name) => name || '(without a name)').join(', ')}`]
    : [];
  const place = { sheet, sheets, split, splits, config, configs };
  return { source, format, ...place, columns, mapping, notes: [...facts.notes, ...left] };
}

export function examplesOf({ records, facts, close }: OpenedRecords, index: number, options: DatasetOptions) {
  const view = viewOf(records, index, options);
  return { examples: view.examples, report: reportOf(facts, view), close };
}

/** The first rows alone. */
export async function* firstRows(batches: AsyncIterable<(Row | BrokenRow)[]>, most: number) {
  let left = most;
  for await (const batch of batches) {
    yield batch.slice(0, left);
    left -= batch.length;
    if (left <= 0) return;
  }
}

/** The dataset. @throws UserError where no example is left of it; it is closed then */
export function someLeft<Example>(dataset: OpenDataset<Example>): OpenDataset<Example> {
  const { examples, source, report } = dataset;
  if (examples.count > 0) return dataset;
  dataset.close();
  const { reason, rows } = report.dropped[0] ?? { reason: '', rows: [] };
  throw new UserError(
    `${source.path}: no example is left (${reason}, rows ${rows.slice(0, 5).join(', ')}); mend the rows or name the columns with a mapping`,
  );
}

/** A whole dataset in memory, which a small one may be. @throws UserError as `openDataset` does */
export async function readDataset(source: DatasetSource, index: number, options: DatasetOptions): Promise<Dataset> {
  const { close, ...dataset } = await openDataset(source, index, options);
  try {
    return { ...dataset, examples: Array.from(dataset.examples, whole) };
  } finally {
    close();
  }
}

/** Its example read now, as its file is closed later. */
const whole = (prepared: PreparedExample): PreparedExample => ({ ...prepared });
