import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { UserError } from '../../engine/types.ts';
import { Ints } from './ints.ts';
import { RecordIndex, Records, RECORD_FIELDS, type RecordChunk } from './records.ts';
import { addRow, type RowFacts } from './row-facts.ts';

/**
 * A file of records: their bytes, the index, the runs of loss, the facts as JSON, and a footer: MAGIC, the lengths of the parts in
 * bytes, the CRC-32 of the records' bytes, and that of all between them and itself. Numbers are little-endian, as on every processor
 * that we run on.
 */
const MAGIC = 'EFFIPRE2';
const FOOTER_BYTES = 48;
const CRC_BYTES = 4;
/** Checked and read in pieces of so many bytes. */
const PIECE_BYTES = RECORD_FIELDS * 2 ** 20;

export interface OpenedRecords {
  records: Records;
  facts: RowFacts;
  close(): void;
}

/** Told of each chunk as it was written, with the file it is in until that is whole, and where its bytes begin. */
export type Follow = (chunk: RecordChunk, file: string, offset: number) => void;

/** Writes chunks into `file`, whole or not at all; `finish` gives the notes when all is read, or throws where it is not to be kept. */
export async function writeRecords(
  file: string,
  chunks: AsyncIterable<RecordChunk>,
  finish: () => Promise<readonly string[]>,
  follow: Follow = () => {},
): Promise<void> {
  await fsp.mkdir(path.dirname(file), { recursive: true });
  const aside = `${file}.${process.pid}.partial`;
  const handle = await fsp.open(aside, 'w');
  try {
    const part = { bytes: 0, crc: 0 };
    const write = async (bytes: Uint8Array) => {
      // The checksum of nothing is 0, whatever was before it.
      if (bytes.length === 0) return;
      part.crc = crc32(bytes, part.crc);
      for (let at = 0; at < bytes.length;) at += (await handle.write(bytes, at)).bytesWritten;
      part.bytes += bytes.length;
    };
    const [index, runs] = [new Ints(), new Ints()];
    const dropped = new Map<string, number[]>();
    let rows = 0;
    for await (const chunk of chunks) {
      const offset = part.bytes;
      await write(chunk.body);
      follow(chunk, aside, offset);
      index.add(chunk.index);
      runs.add(chunk.runs);
      rows += chunk.rows;
      for (const { reason, row } of chunk.dropped) addRow(dropped, reason, row);
    }
    const body = { ...part };
    part.crc = 0;
    for (const ints of [index, runs]) for (const piece of ints.pieces()) await write(piece);
    const facts: RowFacts = { rows, dropped: [...dropped], notes: await finish() };
    await write(new TextEncoder().encode(JSON.stringify(facts)));
    const [indexBytes, runBytes] = [index.bytes, runs.bytes];
    const factBytes = part.bytes - body.bytes - indexBytes - runBytes;
    await handle.write(footerOf([body.bytes, indexBytes, runBytes, factBytes], [body.crc, part.crc]));
    await handle.sync();
    await handle.close();
    await fsp.rename(aside, file);
  } catch (error) {
    await handle.close().catch(() => {});
    await fsp.rm(aside, { force: true });
    throw error;
  }
}

function footerOf(lengths: number[], [bodyCrc, crc]: [body: number, behind: number]): Uint8Array {
  const footer = new DataView(new ArrayBuffer(FOOTER_BYTES));
  const bytes = new Uint8Array(footer.buffer);
  bytes.set(new TextEncoder().encode(MAGIC));
  lengths.forEach((length, i) => footer.setFloat64(8 + 8 * i, length, true));
  const checked = FOOTER_BYTES - CRC_BYTES;
  footer.setUint32(checked - CRC_BYTES, bodyCrc, true);
  footer.setUint32(checked, crc32(bytes.subarray(0, checked), crc), true);
  return bytes;
}

/**
 * Opens a file of records; undefined where it is not there, or not as it was written. With `indexAlone` what the records hold is
 * neither checked nor read: of a million rows that is all but some thirtieth of the file.
 */
export async function openRecords(file: string, indexAlone = false): Promise<OpenedRecords | undefined> {
  const descriptor = await new Promise<number | undefined>((resolve) =>
    fs.open(file, 'r', (error, fd) => resolve(error ? undefined : fd)),
  );
  if (descriptor === undefined) return undefined;
  let isOpen = true;
  const read = (target: Uint8Array, offset: number) => {
    // Its number may be another file's by now.
    if (!isOpen) throw new Error(`${file} was closed before its examples were read`);
    readWhole(file, descriptor, target, offset);
  };
  const close = () => {
    if (isOpen) fs.closeSync(descriptor);
    isOpen = false;
  };
  try {
    const opened = checked(fs.fstatSync(descriptor).size, read, indexAlone);
    if (opened) return { ...opened, close };
  } catch {
    // A disk that gives no bytes is a damaged file, too.
  }
  close();
  return undefined;
}

type Read = (target: Uint8Array, offset: number) => void;

/** The parts of a file of so many bytes; undefined where lengths or checksums say that it is not whole. */
function checked(size: number, read: Read, indexAlone: boolean): Omit<OpenedRecords, 'close'> | undefined {
  if (size < FOOTER_BYTES) return undefined;
  const footer = new Uint8Array(FOOTER_BYTES);
  read(footer, size - FOOTER_BYTES);
  const fields = new DataView(footer.buffer);
  if (new TextDecoder().decode(footer.subarray(0, 8)) !== MAGIC) return undefined;
  const length = (part: number) => fields.getFloat64(8 + 8 * part, true);
  const [bodyBytes, indexBytes, runBytes, factBytes] = [length(0), length(1), length(2), length(3)];
  if (bodyBytes + indexBytes + runBytes + factBytes + FOOTER_BYTES !== size) return undefined;
  if (indexBytes % (4 * RECORD_FIELDS) !== 0 || runBytes % 8 !== 0) return undefined;
  const crc = (place: number) => fields.getUint32(FOOTER_BYTES - place * CRC_BYTES, true);
  if (crcOf(bodyBytes, size - CRC_BYTES, read) !== crc(1)) return undefined;
  if (!indexAlone && crcOf(0, bodyBytes, read) !== crc(2)) return undefined;
  const index = new RecordIndex(indexBytes / (4 * RECORD_FIELDS));
  for (const [at, bytes] of pieces(bodyBytes, bodyBytes + indexBytes)) {
    const part = new Int32Array(bytes / 4);
    read(new Uint8Array(part.buffer), at);
    index.add(part);
  }
  const runs = new Int32Array(runBytes / 4);
  read(new Uint8Array(runs.buffer), bodyBytes + indexBytes);
  const facts = new Uint8Array(factBytes);
  read(facts, bodyBytes + indexBytes + runBytes);
  const unchecked = () => {
    throw new Error('Of these records the index alone was opened');
  };
  return {
    records: new Records(index, runs, { read: indexAlone ? unchecked : read }),
    facts: JSON.parse(new TextDecoder().decode(facts)) as RowFacts,
  };
}

/** [where, how many bytes] of the pieces of [from, to). */
function* pieces(from: number, to: number): Generator<[at: number, bytes: number]> {
  for (let at = from; at < to; at += PIECE_BYTES) yield [at, Math.min(PIECE_BYTES, to - at)];
}

function crcOf(from: number, to: number, read: Read): number {
  const piece = new Uint8Array(PIECE_BYTES);
  let crc = 0;
  for (const [at, bytes] of pieces(from, to)) {
    const part = piece.subarray(0, bytes);
    read(part, at);
    crc = crc32(part, crc);
  }
  return crc;
}

export function readWhole(file: string, descriptor: number, target: Uint8Array, offset: number): void {
  for (let at = 0; at < target.length;) {
    const count = fs.readSync(descriptor, target, at, target.length - at, offset + at);
    if (count === 0)
      throw new UserError(
        `${file} became shorter while it was read; start again, and it is made anew from the dataset`,
      );
    at += count;
  }
}
