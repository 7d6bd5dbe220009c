import { availableParallelism } from 'node:os';
import type { Worker } from 'node:worker_threads';
import { UserError } from '../../engine/types.ts';
import { entryOf, startThread } from '../../engine/entry.ts';
import type { ColumnPlan } from '../columns.ts';
import type { BrokenRow } from '../formats/rows.ts';
import type { TokenOptions } from '../prepare.ts';
import type { Row } from '../types.ts';
import type { RecordChunk } from './records.ts';
import type { ThreadAnswer, ThreadData } from './thread.ts';

/** Rows that go to a thread at once: enough that sending them costs little beside tokenizing them. */
const ROWS_AT_ONCE = 64;
/** Batches each thread has before it or under way, so that none waits for the reader. */
const BATCHES_A_THREAD = 2;
/** Of more threads the one that reads can't feed all, and each holds a tokenizer. */
const MOST_THREADS = 16;

/** Reads and tokenizes rows on every core, and gives the records in the rows' order. Memory is bounded by what is under way. */
export async function* recordsOnEveryCore(
  rows: AsyncIterable<(Row | BrokenRow)[]>,
  plan: ColumnPlan,
  options: TokenOptions,
): AsyncGenerator<RecordChunk> {
  const data = threadData(plan, options);
  const count = Math.min(availableParallelism(), MOST_THREADS);
  const threads = await Promise.all(Array.from({ length: count }, () => Thread.start(data)));
  const underWay: Promise<RecordChunk>[] = [];
  try {
    let next = 0;
    for await (const batch of batches(rows)) {
      const answer = threads[next++ % threads.length]!.records(batch);
      // It is looked at in its turn; until then its failure is no surprise.
      answer.catch(() => {});
      underWay.push(answer);
      if (underWay.length >= threads.length * BATCHES_A_THREAD) yield await underWay.shift()!;
    }
    while (underWay.length > 0) yield await underWay.shift()!;
  } finally {
    await Promise.all(threads.map((thread) => thread.end()));
  }
}

/** What a thread makes the tokenizer and template anew from. */
function threadData(plan: ColumnPlan, { tokenizer, template, loss, vocabularySize }: TokenOptions): ThreadData {
  const { source, tokens, withTools } = template ?? {};
  return {
    ...{ plan, loss, vocabularySize },
    tokenizer: tokenizer?.description,
    template: source === undefined ? undefined : { source, tokens: tokens!, toolUse: withTools?.source },
  };
}

/** A thread that answers batches in the order they come. */
class Thread {
  private readonly waiting: { resolve: (chunk: RecordChunk) => void; reject: (error: Error) => void }[] = [];
  private failure: Error | undefined;

  static async start(data: ThreadData): Promise<Thread> {
    const worker = await startThread(entryOf(import.meta.url, './thread.ts', './tokenize.js'));
    worker.postMessage(data);
    return new Thread(worker);
  }

  private constructor(private readonly worker: Worker) {
    this.worker.on('message', (answer: ThreadAnswer) => {
      const { resolve, reject } = this.waiting.shift()!;
      if ('error' in answer) reject(answer.error);
      else resolve(answer);
    });
    this.worker.on('error', (error) => this.fail(error));
    this.worker.on('exit', (code) => this.fail(new Error(`A thread that tokenizes ended with code ${code}`)));
  }

  records(rows: (Row | BrokenRow)[]): Promise<RecordChunk> {
    return new Promise((resolve, reject) => {
      if (this.failure) return reject(this.failure);
      this.waiting.push({ resolve, reject });
      this.worker.postMessage(rows);
    });
  }

  async end(): Promise<void> {
    await this.worker.terminate();
  }

  private fail(error: Error): void {
    this.failure ??= isOutOfMemory(error) ? tooLarge() : error;
    for (const { reject } of this.waiting.splice(0)) reject(this.failure);
  }
}

const isOutOfMemory = (error: Error) => (error as NodeJS.ErrnoException).code === 'ERR_WORKER_OUT_OF_MEMORY';

const tooLarge = () =>
  new UserError(
    'One row of the dataset takes more memory to tokenize than a thread may have; cut it into several rows',
  );

async function* batches(rows: AsyncIterable<(Row | BrokenRow)[]>): AsyncGenerator<(Row | BrokenRow)[]> {
  let batch: (Row | BrokenRow)[] = [];
  for await (const some of rows)
    for (const row of some)
      if (batch.push(row) === ROWS_AT_ONCE) {
        yield batch;
        batch = [];
      }
  if (batch.length > 0) yield batch;
}
