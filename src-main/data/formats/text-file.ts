import { TextDecoder } from 'node:util';
import { UserError } from '../../engine/types.ts';
import { datasetContent } from './bytes.ts';
import type { Note } from './source.ts';
import { decodeWindows1252, isWindows1252 } from './windows-1252.ts';

/** The longest line of a JSONL file, in characters. */
const MAX_LINE = 2 ** 26;

/** A text file's lines in batches, one after the other, however long the file. @throws UserError */
export async function* lineBatches(path: string, note: Note): AsyncGenerator<string[]> {
  let rest: string[] = [];
  let length = 0;
  let line = 1;
  for await (const part of decodedText(path, note)) {
    const lines = part.split('\n');
    if (lines.length > 1) {
      lines[0] = [...rest, lines[0]!].join('');
      rest = [];
      length = 0;
    }
    const last = lines.pop()!;
    line += lines.length;
    if (lines.length > 0) yield lines;
    rest.push(last);
    length += last.length;
    if (length > MAX_LINE)
      throw new UserError(`${path}, line ${line} is longer than ${MAX_LINE} characters; give one example a line`);
  }
  yield [rest.join('')];
}

/**
 * A text file's content, piece by piece: UTF-16 where a byte-order mark says so, else UTF-8; where its first letters beyond
 * ASCII are no UTF-8 but fit Windows-1252, that, which `note` is told.
 * @throws UserError for another encoding
 */
export async function* decodedText(path: string, note: Note): AsyncGenerator<string> {
  let decoder: TextDecoder | undefined;
  let isAscii = true;
  let isWestern = false;
  /** the start of a character that the next piece continues */
  let pending = new Uint8Array(0);
  for await (const bytes of datasetContent(path)) {
    if (isWestern) {
      yield decodeWindows1252(bytes);
      continue;
    }
    decoder ??= new TextDecoder(encodingOf(bytes), { fatal: true });
    const all = pending.length ? Buffer.concat([pending, bytes]) : bytes;
    const end = decoder.encoding === 'utf-8' ? wholeCharacters(all) : all.length;
    const whole = all.subarray(0, end);
    pending = all.slice(end);
    if (isAscii && decoder.encoding === 'utf-8' && !decodes(decoder, whole) && isWindows1252(all)) {
      isWestern = true;
      note(`${path} is no UTF-8; it was read as Windows-1252`);
      yield decodeWindows1252(all);
      continue;
    }
    isAscii &&= whole.every((byte) => byte < 0x80);
    yield decode(decoder, path, whole, true);
  }
  if (!decoder || isWestern) return;
  if (pending.length > 0 && isAscii && isWindows1252(pending)) {
    note(`${path} is no UTF-8; it was read as Windows-1252`);
    yield decodeWindows1252(pending);
    return;
  }
  if (pending.length > 0) yield decode(decoder, path, pending, true);
  yield decode(decoder, path, undefined, false);
}

function decode(decoder: TextDecoder, path: string, bytes: Uint8Array | undefined, stream: boolean): string {
  try {
    return decoder.decode(bytes, { stream });
  } catch {
    throw new UserError(`${path} is not text in ${decoder.encoding.toUpperCase()}; save it as UTF-8`);
  }
}

function encodingOf(start: Uint8Array): string {
  if (start[0] === 0xff && start[1] === 0xfe) return 'utf-16le';
  return start[0] === 0xfe && start[1] === 0xff ? 'utf-16be' : 'utf-8';
}

function decodes(decoder: TextDecoder, bytes: Uint8Array): boolean {
  try {
    new TextDecoder(decoder.encoding, { fatal: true }).decode(bytes);
    return true;
  } catch {
    return false;
  }
}

/** How many of the bytes are before a UTF-8 character that is cut off at their end. */
function wholeCharacters(bytes: Uint8Array): number {
  for (let back = 1; back <= Math.min(3, bytes.length); back++) {
    const byte = bytes[bytes.length - back]!;
    if (byte < 0x80) return bytes.length;
    const length = byte >= 0xf0 ? 4 : byte >= 0xe0 ? 3 : byte >= 0xc0 ? 2 : 1;
    if (length > 1) return length > back ? bytes.length - back : bytes.length;
  }
  return bytes.length;
}
