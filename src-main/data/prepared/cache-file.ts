import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import { crc32 } from 'node:zlib';
import { UserError } from '../../engine/types.ts';
import { joinedInts, Records, RECORD_FIELDS, type RecordChunk } from './records.ts';
import { addRow, type RowFacts } from './row-facts.ts';

/**
 * A file of records: their bytes, the index, the runs of loss, the facts as JSON, and a footer: MAGIC, the lengths of the parts in
 * bytes, and the CRC-32 of all before it. Numbers are little-endian, as on every processor that we run on.
 */
const MAGIC = 'EFFIPREP';
const FOOTER_BYTES = 44;
const CRC_BYTES = 4;
/** Checked and read in pieces of so many bytes. */
const PIECE_BYTES = 2 ** 22;

export interface OpenedRecords {
  records: Records;
  facts: RowFacts;
  close(): void;
}

/** Writes chunks into `file`, whole or not at all; `finish` gives the notes when all is read, or throws where it is not to be kept. */
export async function writeRecords(
  file: string,
  chunks: AsyncIterable<RecordChunk>,
  finish: () => Promise<readonly string[]>,
): Promise<void> {
  await fsp.mkdir(path.dirname(file), { recursive: true });
  const aside = `${file}.${process.pid}.partial`;
  const handle = await fsp.open(aside, 'w');
  try {
    const lengths: number[] = [];
    let crc = 0;
    const write = async (bytes: Uint8Array) => {
      crc = crc32(bytes, crc);
      for (let at = 0; at < bytes.length;) at += (await handle.write(bytes, at)).bytesWritten;
      return bytes.length;
    };
    const indices: Int32Array[] = [];
    const runs: Int32Array[] = [];
    const dropped = new Map<string, number[]>();
    let [rows, bodyBytes] = [0, 0];
    for await (const chunk of chunks) {
      bodyBytes += await write(chunk.body);
      indices.push(chunk.index);
      runs.push(chunk.runs);
      rows += chunk.rows;
      for (const { reason, row } of chunk.dropped) addRow(dropped, reason, row);
    }
    lengths.push(bodyBytes);
    for (const ints of [indices, runs]) lengths.push(await write(new Uint8Array(joinedInts(ints).buffer)));
    const facts: RowFacts = { rows, dropped: [...dropped], notes: await finish() };
    lengths.push(await write(new TextEncoder().encode(JSON.stringify(facts))));
    await handle.write(footerOf(crc, lengths));
    await handle.sync();
    await handle.close();
    await fsp.rename(aside, file);
  } catch (error) {
    await handle.close().catch(() => {});
    await fsp.rm(aside, { force: true });
    throw error;
  }
}

function footerOf(crc: number, lengths: number[]): Uint8Array {
  const footer = new DataView(new ArrayBuffer(FOOTER_BYTES));
  const bytes = new Uint8Array(footer.buffer);
  bytes.set(new TextEncoder().encode(MAGIC));
  lengths.forEach((length, i) => footer.setFloat64(8 + 8 * i, length, true));
  const checked = FOOTER_BYTES - CRC_BYTES;
  footer.setUint32(checked, crc32(bytes.subarray(0, checked), crc), true);
  return bytes;
}

/** Opens a file of records; undefined where it is not there, or not as it was written. */
export async function openRecords(file: string): Promise<OpenedRecords | undefined> {
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
    const opened = checked(fs.fstatSync(descriptor).size, read);
    if (opened) return { ...opened, close };
  } catch {
    // A disk that gives no bytes is a damaged file, too.
  }
  close();
  return undefined;
}

type Read = (target: Uint8Array, offset: number) => void;

/** The parts of a file of so many bytes; undefined where lengths or checksum say that it is not whole. */
function checked(size: number, read: Read): Omit<OpenedRecords, 'close'> | undefined {
  if (size < FOOTER_BYTES) return undefined;
  const footer = new Uint8Array(FOOTER_BYTES);
  read(footer, size - FOOTER_BYTES);
  const fields = new DataView(footer.buffer);
  if (new TextDecoder().decode(footer.subarray(0, 8)) !== MAGIC) return undefined;
  const length = (part: number) => fields.getFloat64(8 + 8 * part, true);
  const [bodyBytes, indexBytes, runBytes, factBytes] = [length(0), length(1), length(2), length(3)];
  if (bodyBytes + indexBytes + runBytes + factBytes + FOOTER_BYTES !== size) return undefined;
  if (indexBytes % (4 * RECORD_FIELDS) !== 0 || runBytes % 8 !== 0) return undefined;
  if (crcOf(size - CRC_BYTES, read) !== fields.getUint32(FOOTER_BYTES - CRC_BYTES, true)) return undefined;
  const [index, runs] = [new Int32Array(indexBytes / 4), new Int32Array(runBytes / 4)];
  read(new Uint8Array(index.buffer), bodyBytes);
  read(new Uint8Array(runs.buffer), bodyBytes + indexBytes);
  const facts = new Uint8Array(factBytes);
  read(facts, bodyBytes + indexBytes + runBytes);
  return {
    records: new Records(index, runs, { read }),
    facts: JSON.parse(new TextDecoder().decode(facts)) as RowFacts,
  };
}

function crcOf(bytes: number, read: Read): number {
  const piece = new Uint8Array(PIECE_BYTES);
  let crc = 0;
  for (let at = 0; at < bytes; at += PIECE_BYTES) {
    const part = piece.subarray(0, Math.min(PIECE_BYTES, bytes - at));
    read(part, at);
    crc = crc32(part, crc);
  }
  return crc;
}

function readWhole(file: string, descriptor: number, target: Uint8Array, offset: number): void {
  for (let at = 0; at < target.length;) {
    const count = fs.readSync(descriptor, target, at, target.length - at, offset + at);
    if (count === 0)
      throw new UserError(
        `${file} became shorter while it was read; start again, and it is made anew from the dataset`,
      );
    at += count;
  }
}
