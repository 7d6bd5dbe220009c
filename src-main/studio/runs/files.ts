import { open } from 'node:fs/promises';
import type { HeadsFrame } from '../../../src-preload/contract/index.ts';
import { readHeadName } from '../../effilora/names.ts';
import { DECODER_SITES } from '../../models/types.ts';

/**
 * At most this much of a file is read at a time, bytes: what one event carries stays small, and is thrown away while it is young. With
 * 4 MB of it the studio of a run of 10,000 steps grew by a quarter before V8 collected it.
 */
const CHUNK_BYTES = 256 << 10;

/**
 * The complete lines of a growing file from byte `from` on, and where they end.
 * A file that is not there yet is empty, and so is one that is shorter than `from`.
 */
export async function readLines(path: string, from: number): Promise<{ text: string; end: number }> {
  const file = await open(path).catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return undefined;
    throw error;
  });
  if (!file) return { text: '', end: from };
  try {
    const { size } = await file.stat();
    if (size <= from) return { text: '', end: from };
    for (let length = CHUNK_BYTES; ; length *= 2) {
      const buffer = Buffer.alloc(Math.min(length, size - from));
      const { bytesRead } = await file.read(buffer, 0, buffer.length, from);
      const complete = buffer.subarray(0, bytesRead).lastIndexOf(0x0a) + 1;
      // A line longer than the chunk: take more, unless the file ends in the middle of it.
      if (complete > 0 || from + bytesRead >= size || bytesRead === 0)
        return { text: buffer.toString('utf8', 0, complete), end: from + complete };
    }
  } finally {
    await file.close();
  }
}

/** JSON lines; a line that is no object (a torn write before a crash) is left out. */
export function parseLines(text: string): Record<string, unknown>[] {
  const records: Record<string, unknown>[] = [];
  for (const line of text.split('\n')) {
    if (line === '') continue;
    try {
      const value: unknown = JSON.parse(line);
      if (value !== null && typeof value === 'object') records.push(value as Record<string, unknown>);
    } catch {
      continue;
    }
  }
  return records;
}

/** The first line of a file, or nothing. */
export async function firstRecord(path: string): Promise<Record<string, unknown> | undefined> {
  const { text } = await readLines(path, 0);
  const end = text.indexOf('\n');
  return end < 0 ? undefined : parseLines(text.slice(0, end + 1))[0];
}

/** All lines of a file that are there by now. */
export async function allRecords<Line>(path: string): Promise<Line[]> {
  const records: Line[] = [];
  for await (const text of pieces(path)) records.push(...(parseLines(text) as Line[]));
  return records;
}

/** The last line of a file, or nothing; none but that is parsed. */
export async function lastRecord<Line>(path: string): Promise<Line | undefined> {
  let last = '';
  for await (const text of pieces(path)) last = text.slice(text.lastIndexOf('\n', text.length - 2) + 1);
  return parseLines(last)[0] as Line | undefined;
}

async function* pieces(path: string): AsyncGenerator<string> {
  for (let from = 0; ;) {
    const { text, end } = await readLines(path, from);
    if (end === from) return;
    yield text;
    from = end;
  }
}

/** Head names `<layer>.<site>.<head>` in the order of the model: layer, site, head. */
export function sortedHeads(names: string[]): string[] {
  const key = (name: string) => {
    const { block: layer, site, head } = readHeadName(name) ?? { block: 0, site: name, head: 0 };
    // Other families' sites follow in the order of their names.
    const known = (DECODER_SITES as readonly string[]).indexOf(site);
    return { layer, order: known < 0 ? DECODER_SITES.length : known, site, head };
  };
  return names
    .map((name) => ({ name, ...key(name) }))
    .sort((a, b) => a.layer - b.layer || a.order - b.order || a.site.localeCompare(b.site) || a.head - b.head)
    .map(({ name }) => name);
}

/** One line of heads.jsonl packed in the order of `names`. */
export function packHeads(record: Record<string, unknown>, names: string[]): HeadsFrame {
  const importance = (record['importance'] ?? {}) as Record<string, number>;
  const share = record['routerShare'] as Record<string, number> | undefined;
  const frozen = new Set((record['frozen'] ?? []) as string[]);
  const bits = new Uint8Array(Math.ceil(names.length / 8));
  names.forEach((name, index) => {
    if (frozen.has(name)) bits[index >> 3]! |= 1 << (index & 7);
  });
  return {
    step: Number(record['step']),
    importance: floats(names.map((name) => importance[name] ?? 0)),
    frozen: Buffer.from(bits).toString('base64'),
    share: share && Object.keys(share).length > 0 ? floats(names.map((name) => share[name] ?? 0)) : '',
  };
}

function floats(values: number[]): string {
  const array = Float32Array.from(values);
  return Buffer.from(array.buffer, array.byteOffset, array.byteLength).toString('base64');
}
