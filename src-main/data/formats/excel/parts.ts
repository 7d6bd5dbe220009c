import fsp from 'node:fs/promises';
import { TextDecoder } from 'node:util';
import { crc32 } from 'node:zlib';
import { openPromise, type Entry, type ZipFile } from 'yauzl';
import { UserError } from '../../../engine/types.ts';
import { datasetBytes } from '../bytes.ts';

/** The largest part of a workbook (a sheet, its texts) once unpacked, bytes. What a part claims is held while it is read, too. */
const MAX_PART = 2 ** 28;
/** A workbook has a part a sheet, a picture, a chart. */
const MOST_PARTS = 20_000;

/** How a file begins that is no zip: Microsoft's container of encrypted workbooks, and of .xls under whatever name. */
const CONTAINER = Buffer.from('d0cf11e0a1b11ae1', 'hex');

/** The parts of an opened workbook: XML in a zip. */
export interface Parts {
  has(name: string): boolean;
  /** a part's text, piece by piece. @throws Error for one that is missing, too large or damaged */
  text(name: string): AsyncGenerator<string>;
  close(): void;
}

/** Opens a workbook's zip. @throws UserError for what is none */
export async function openParts(path: string): Promise<Parts> {
  await datasetBytes(path);
  if ((await firstBytes(path)).equals(CONTAINER))
    throw new UserError(
      `${path} is encrypted, or an .xls of old under another name; open it in Excel and save it without a password as .xlsx, or as CSV`,
    );
  const zip = await openPromise(path, { autoClose: false });
  try {
    const entries = await entriesOf(zip);
    return { has: (name) => entries.has(name.toLowerCase()), text: (name) => textOf(zip, entries, name), close: () => zip.close() }; // prettier-ignore
  } catch (error) {
    zip.close();
    throw error;
  }
}

async function firstBytes(path: string): Promise<Buffer> {
  const handle = await fsp.open(path);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(CONTAINER.length), 0, CONTAINER.length, 0);
    return buffer.subarray(0, bytesRead);
  } finally {
    await handle.close();
  }
}

async function entriesOf(zip: ZipFile): Promise<Map<string, Entry>> {
  if (zip.entryCount > MOST_PARTS) throw new Error(`it holds ${zip.entryCount} parts`);
  const entries = new Map<string, Entry>();
  for await (const entry of zip.eachEntry()) entries.set(entry.fileName.toLowerCase(), entry);
  return entries;
}

async function* textOf(zip: ZipFile, entries: Map<string, Entry>, name: string): AsyncGenerator<string> {
  const entry = entries.get(name.toLowerCase());
  if (!entry) throw new Error(`its part ${name} is missing`);
  // The zip's reader ends with an error where more comes out than this.
  if (entry.uncompressedSize > MAX_PART)
    throw new Error(`its part ${name} unpacks to ${entry.uncompressedSize} bytes, where ${MAX_PART} are read at most`);
  const stream = await zip.openReadStreamPromise(entry);
  let decoder: TextDecoder | undefined;
  /** a carriage return at a piece's end, whose newline may follow: XML takes both for one newline */
  let held = '';
  let crc = 0;
  for await (const bytes of stream as AsyncIterable<Buffer>) {
    crc = crc32(bytes, crc);
    decoder ??= new TextDecoder(encodingOf(bytes), { fatal: true });
    const text = held + decoder.decode(bytes, { stream: true });
    held = text.endsWith('\r') ? '\r' : '';
    yield text.slice(0, text.length - held.length).replace(/\r\n?/g, '\n');
  }
  if (crc !== entry.crc32) throw new Error(`its part ${name} is damaged`);
  yield (held + (decoder?.decode() ?? '')).replace(/\r\n?/g, '\n');
}

function encodingOf(start: Uint8Array): string {
  if (start[0] === 0xff && start[1] === 0xfe) return 'utf-16le';
  return start[0] === 0xfe && start[1] === 0xff ? 'utf-16be' : 'utf-8';
}
