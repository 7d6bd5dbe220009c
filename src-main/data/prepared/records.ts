import { isBroken, type BrokenRow } from '../formats/source.ts';
import type { ColumnPlan } from '../columns.ts';
import { lossRuns, tokenizeExample, type TokenOptions, type WholeTokens } from '../prepare.ts';
import { readExample } from '../read-example.ts';
import type { Example, Row } from '../types.ts';

/**
 * Rows as tokenized records, as they lie in memory and in a cache file. A record is its token ids (4 bytes each), its labels where they
 * are not its ids (4 bytes each), and its example as JSON; of pre-tokenized ones the ids and labels are the example.
 */
export interface RecordChunk {
  /** the records, one after the other */
  body: Uint8Array;
  /** RECORD_FIELDS numbers a record: its bytes, its tokens, its runs of loss, whether it holds labels of its own, its row, its lead */
  index: Int32Array;
  /** [from, to) of each run of tokens with loss, of all records */
  runs: Int32Array;
  /** rows read */
  rows: number;
  dropped: BrokenRow[];
}

export const RECORD_FIELDS = 6;

/** A row's example with its tokens, or why it is none. */
export type ReadRow = { row: number; example: Example; tokens: WholeTokens } | BrokenRow;

/** Reads and tokenizes rows; longer examples than any model reads stay whole here. */
export const recordsOf = (rows: (Row | BrokenRow)[], plan: ColumnPlan, options: TokenOptions): RecordChunk =>
  chunkOf(rows, (row) => {
    if (isBroken(row)) return row;
    const example = readExample(row, plan);
    if (typeof example === 'string') return { row: row.row, reason: example };
    const tokens = tokenizeExample(example, options);
    return typeof tokens === 'string' ? { row: row.row, reason: tokens } : { row: row.row, example, tokens };
  });

/** Rows as records, each as `read` reads it. */
export function chunkOf<From>(rows: From[], read: (row: From) => ReadRow): RecordChunk {
  // What an error left there.
  body.length = 0;
  const index: number[] = [];
  const runs: number[] = [];
  const dropped: BrokenRow[] = [];
  for (const one of rows) {
    const given = read(one);
    if ('reason' in given) {
      dropped.push({ row: given.row, reason: given.reason });
      continue;
    }
    const { row, example, tokens } = given;
    const { inputIds, labels, lead } = tokens;
    const ownLabels = labels.some((label, i) => label >= 0 && label !== inputIds[i]);
    const from = body.length;
    body.addInts(inputIds);
    if (ownLabels) body.addInts(labels);
    if (example.kind !== 'tokens') body.addText(JSON.stringify(example));
    const loss = lossRuns(labels);
    index.push(body.length - from, inputIds.length, loss.length / 2, Number(ownLabels), row, lead);
    for (const place of loss) runs.push(place);
  }
  return { body: body.take(), index: Int32Array.from(index), runs: Int32Array.from(runs), rows: rows.length, dropped };
}

/** Of as many rows as a thread gets at once, and the most that is held for the next ones. */
const USUAL_BYTES = 2 ** 18;
const MOST_HELD_BYTES = 2 ** 22;

/** Bytes that are added one after the other, in memory that is used again: thousands of small pieces would leave it in holes. */
class Bytes {
  length = 0;
  private held = Buffer.alloc(USUAL_BYTES);

  addInts(values: number[]): void {
    this.makeRoom(4 * values.length);
    for (const value of values) this.length = this.held.writeInt32LE(value, this.length);
  }

  addText(text: string): void {
    this.makeRoom(3 * text.length);
    this.length += this.held.write(text, this.length);
  }

  /** All of them; none are left. Not in Node's pool: what goes to another thread is given away whole. */
  take(): Uint8Array<ArrayBuffer> {
    const taken = new Uint8Array(this.held.subarray(0, this.length));
    this.length = 0;
    if (this.held.length > MOST_HELD_BYTES) this.held = Buffer.alloc(USUAL_BYTES);
    return taken;
  }

  private makeRoom(bytes: number): void {
    if (this.length + bytes <= this.held.length) return;
    const larger = Buffer.alloc(2 * (this.length + bytes));
    this.held.copy(larger, 0, 0, this.length);
    this.held = larger;
  }
}

const body = new Bytes();

/** Several chunks as one. */
export function joinedChunks(chunks: RecordChunk[]): RecordChunk {
  return {
    body: joined(chunks.map((chunk) => chunk.body)),
    index: joinedInts(chunks.map(({ index }) => index)),
    runs: joinedInts(chunks.map(({ runs }) => runs)),
    rows: chunks.reduce((sum, { rows }) => sum + rows, 0),
    dropped: chunks.flatMap(({ dropped }) => dropped),
  };
}

function joined(parts: Uint8Array[]): Uint8Array<ArrayBuffer> {
  // Not from Node's pool: what goes to another thread is given away whole.
  const out = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let place = 0;
  for (const part of parts) {
    out.set(part, place);
    place += part.length;
  }
  return out;
}

function joinedInts(parts: Int32Array[]): Int32Array<ArrayBuffer> {
  const out = new Int32Array(parts.reduce((sum, { length }) => sum + length, 0));
  let place = 0;
  for (const part of parts) {
    out.set(part, place);
    place += part.length;
  }
  return out;
}

/** Where records' bytes are. */
export interface RecordBytes {
  /** fills `target` with the bytes from `offset` on */
  read(target: Uint8Array, offset: number): void;
}

/** What is held of each record while its bytes lie elsewhere. */
export class RecordIndex {
  readonly tokens: Int32Array;
  readonly rows: Int32Array;
  readonly ownLabels: Uint8Array;
  readonly leads: Int32Array;
  /** where its bytes and its runs begin; one more than there are records */
  readonly offsets: Float64Array;
  readonly firstRuns: Int32Array;
  private next = 0;

  constructor(readonly count: number) {
    this.tokens = new Int32Array(count);
    this.rows = new Int32Array(count);
    this.ownLabels = new Uint8Array(count);
    this.leads = new Int32Array(count);
    this.offsets = new Float64Array(count + 1);
    this.firstRuns = new Int32Array(count + 1);
  }

  /** @param numbers RECORD_FIELDS a record, of all */
  static of(numbers: Int32Array): RecordIndex {
    const index = new RecordIndex(numbers.length / RECORD_FIELDS);
    index.add(numbers);
    return index;
  }

  /** @param part RECORD_FIELDS numbers a record, of those that come next */
  add(part: Int32Array): void {
    for (let at = 0; at < part.length; at += RECORD_FIELDS) {
      const i = this.next++;
      this.offsets[i + 1] = this.offsets[i]! + part[at]!;
      this.tokens[i] = part[at + 1]!;
      this.firstRuns[i + 1] = this.firstRuns[i]! + part[at + 2]!;
      this.ownLabels[i] = part[at + 3]!;
      this.rows[i] = part[at + 4]!;
      this.leads[i] = part[at + 5]!;
    }
  }
}

/** Records by number, read when they are asked for. */
export class Records {
  constructor(
    private readonly index: RecordIndex,
    private readonly allRuns: Int32Array,
    private readonly bytes: RecordBytes,
  ) {}

  get count(): number {
    return this.index.count;
  }

  tokens(record: number): number {
    return this.index.tokens[record]!;
  }

  row(record: number): number {
    return this.index.rows[record]!;
  }

  /** tokens of the system message that it begins with */
  lead(record: number): number {
    return this.index.leads[record]!;
  }

  /** [from, to) of each run of tokens with loss, one after the other */
  runs(record: number): Int32Array {
    const { firstRuns } = this.index;
    return this.allRuns.subarray(2 * firstRuns[record]!, 2 * firstRuns[record + 1]!);
  }

  /** token ids and labels of the tokens [from, to) */
  read(record: number, from: number, to: number): { inputIds: Int32Array; labels: Int32Array } {
    const inputIds = this.ints(record, from, to);
    const tokens = this.tokens(record);
    if (this.index.ownLabels[record]) return { inputIds, labels: this.ints(record, tokens + from, tokens + to) };
    const labels = new Int32Array(to - from).fill(-100);
    const runs = this.runs(record);
    for (let i = 0; i < runs.length; i += 2) {
      const [begin, end] = [Math.max(runs[i]!, from) - from, Math.min(runs[i + 1]!, to) - from];
      if (begin < end) labels.set(inputIds.subarray(begin, end), begin);
    }
    return { inputIds, labels };
  }

  /** the example as it was read from its row */
  example(record: number): Example {
    const tokens = this.tokens(record);
    const { ownLabels, offsets } = this.index;
    const numbers = 4 * tokens * (ownLabels[record] ? 2 : 1);
    const text = new Uint8Array(offsets[record + 1]! - offsets[record]! - numbers);
    if (text.length > 0) {
      this.bytes.read(text, offsets[record]! + numbers);
      return JSON.parse(new TextDecoder().decode(text)) as Example;
    }
    const { inputIds, labels } = this.read(record, 0, tokens);
    return { kind: 'tokens', row: this.row(record), inputIds: [...inputIds], labels: [...labels] };
  }

  private ints(record: number, from: number, to: number): Int32Array {
    const values = new Int32Array(to - from);
    this.bytes.read(new Uint8Array(values.buffer), this.index.offsets[record]! + 4 * from);
    return values;
  }
}
