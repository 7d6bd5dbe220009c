import fs from 'node:fs';
import { UserError } from '../engine/types.ts';
import { openFollowed, type DatasetOptions, type DatasetSource, type OpenDataset } from './dataset.ts';
import { dropsMany } from './dropped.ts';
import type { ExampleSource } from './example-source.ts';
import type { PreparedExample } from './prepare.ts';
import { readWhole } from './prepared/cache-file.ts';
import { RecordIndex, Records, type RecordChunk } from './prepared/records.ts';
import { viewOf } from './prepared/view.ts';

/** A dataset that is learned from while it is read: of its examples those of its first rows, in their order, more and more. */
export class GrowingDataset {
  /** those that are there */
  readonly examples: ExampleSource<PreparedExample>;
  /** the whole, once it was read */
  readonly whole: Promise<OpenDataset>;
  private read: OpenDataset | undefined;
  private failed: { error: unknown } | undefined;
  private isClosed = false;
  private file: number | undefined;
  private readonly parts: ExampleSource<PreparedExample>[] = [];
  /** where each part's examples begin */
  private readonly starts: number[] = [];
  private readonly known = { count: 0, examples: 0, kept: 0 };
  private waiting: (() => void)[] = [];

  constructor(
    source: DatasetSource,
    private readonly options: DatasetOptions,
    private readonly acceptDropped = false,
  ) {
    const growing = () => this.read?.examples;
    const counted = () => growing()?.count ?? this.known.count;
    this.examples = {
      get count() {
        return counted();
      },
      size: (i) => growing()?.size(i) ?? this.at(i, (part, at) => part.size(at)),
      read: (i) => growing()?.read(i) ?? this.at(i, (part, at) => part.read(at)),
      *[Symbol.iterator]() {
        for (let i = 0; i < this.count; i++) yield this.read(i);
      },
    };
    this.whole = openFollowed(source, 0, options, (chunk, file, offset) => this.add(chunk, file, offset))
      .then(
        (dataset) => {
          this.read = dataset;
          if (this.isClosed) dataset.close();
          return dataset;
        },
        (error: unknown) => {
          this.failed = { error };
          throw error;
        },
      )
      .finally(() => {
        this.parts.length = this.starts.length = 0;
        if (this.file !== undefined) fs.closeSync(this.file);
        this.wake();
      });
    // Whoever waits is told.
    this.whole.catch(() => {});
  }

  /** Whether all of it was read. */
  get isWhole(): boolean {
    return this.read !== undefined;
  }

  /**
   * Until so many examples are there and no more rows are lost than a dataset may lose, or all of it was read.
   * @throws UserError where the rest can't be read
   */
  async upTo(count: number): Promise<void> {
    const losesMany = () => !this.acceptDropped && dropsMany(this.known);
    while (!this.isWhole && (this.known.count < count || losesMany())) {
      if (this.failed) throw this.failed.error;
      await new Promise<void>((resolve) => this.waiting.push(resolve));
    }
  }

  /** Ends reading, whole or not. */
  close(): void {
    this.isClosed = true;
    this.read?.close();
  }

  private add(chunk: RecordChunk, file: string, offset: number): void {
    if (this.isClosed) throw new UserError('The run ended before its data was read');
    this.file ??= fs.openSync(file, 'r');
    const read = (target: Uint8Array, at: number) => readWhole(file, this.file!, target, offset + at);
    const { examples, kept } = viewOf(new Records(RecordIndex.of(chunk.index), chunk.runs, { read }), 0, this.options);
    if (examples.count > 0) {
      this.parts.push(examples);
      this.starts.push(this.known.count);
    }
    this.known.count += examples.count;
    this.known.examples += chunk.rows;
    this.known.kept += kept;
    this.wake();
  }

  private at<T>(index: number, take: (part: ExampleSource<PreparedExample>, at: number) => T): T {
    let [low, high] = [0, this.parts.length - 1];
    while (low < high) {
      const middle = Math.ceil((low + high) / 2);
      if (this.starts[middle]! <= index) low = middle;
      else high = middle - 1;
    }
    return take(this.parts[low]!, index - this.starts[low]!);
  }

  private wake(): void {
    for (const resolve of this.waiting.splice(0)) resolve();
  }
}
