import { constants } from 'node:buffer';
import fs from 'node:fs';
import fsp from 'node:fs/promises';
import { TextDecoder } from 'node:util';
import { UserError } from '../../engine/types.ts';

/** The longest line of a JSONL file, in characters. */
const MAX_LINE = 2 ** 26;

/** A text file's content: UTF-8, or UTF-16 where a byte-order mark says so. @throws UserError */
export async function readText(path: string): Promise<string> {
  const size = await datasetBytes(path);
  if (size > constants.MAX_STRING_LENGTH)
    throw new UserError(
      `The dataset "${path}" has ${size} bytes, too many to read at once; save it as JSONL or Parquet, or split it`,
    );
  const parts: string[] = [];
  for await (const part of decoded(path)) parts.push(part);
  return parts.join('');
}

/** A text file's lines, one after the other, however long the file. @throws UserError */
export async function* readLines(path: string): AsyncGenerator<string> {
  await datasetBytes(path);
  let rest = '';
  let line = 1;
  for await (const part of decoded(path)) {
    const lines = (rest + part).split('\n');
    rest = lines.pop()!;
    line += lines.length;
    yield* lines;
    if (rest.length > MAX_LINE)
      throw new UserError(`${path}, line ${line} is longer than ${MAX_LINE} characters; give one example a line`);
  }
  yield rest;
}

/** A dataset file's size in bytes. @throws UserError if it is missing or empty */
export async function datasetBytes(path: string): Promise<number> {
  const stat = await fsp.stat(path).catch(() => undefined);
  if (!stat?.isFile()) throw new UserError(`The dataset "${path}" is not there; check the path`);
  if (stat.size === 0) throw new UserError(`The dataset "${path}" is empty; give a file with at least one example`);
  return stat.size;
}

async function* decoded(path: string): AsyncGenerator<string> {
  let decoder: TextDecoder | undefined;
  const decode = (bytes?: Uint8Array) => {
    try {
      return decoder!.decode(bytes, { stream: bytes !== undefined });
    } catch {
      throw new UserError(`${path} is not text in ${decoder!.encoding.toUpperCase()}; save it as UTF-8`);
    }
  };
  for await (const bytes of fs.createReadStream(path) as AsyncIterable<Buffer>) {
    decoder ??= new TextDecoder(encodingOf(bytes), { fatal: true });
    yield decode(bytes);
  }
  if (decoder) yield decode();
}

function encodingOf(start: Uint8Array): string {
  if (start[0] === 0xff && start[1] === 0xfe) return 'utf-16le';
  return start[0] === 0xfe && start[1] === 0xff ? 'utf-16be' : 'utf-8';
}
