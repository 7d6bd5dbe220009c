import fsp from 'node:fs/promises';
import { UserError } from '../../engine/types.ts';

/** The largest dataset that is read whole, in bytes. */
export const MAX_DATASET_BYTES = 4 * 2 ** 30;

/** A text file's content: UTF-8, or UTF-16 where a byte-order mark says so. @throws UserError */
export async function readText(path: string): Promise<string> {
  const bytes = await readWhole(path);
  const encoding =
    bytes[0] === 0xff && bytes[1] === 0xfe ? 'utf-16le' : bytes[0] === 0xfe && bytes[1] === 0xff ? 'utf-16be' : 'utf-8';
  try {
    return new TextDecoder(encoding, { fatal: true }).decode(bytes);
  } catch {
    throw new UserError(`${path} is not text in ${encoding.toUpperCase()}; save it as UTF-8`);
  }
}

/** A file's bytes, its size checked first. @throws UserError */
export async function readWhole(path: string): Promise<Uint8Array> {
  const stat = await fsp.stat(path).catch(() => undefined);
  if (!stat?.isFile()) throw new UserError(`The dataset "${path}" is not there; check the path`);
  if (stat.size === 0) throw new UserError(`The dataset "${path}" is empty; give a file with at least one example`);
  if (stat.size > MAX_DATASET_BYTES)
    throw new UserError(`The dataset "${path}" has ${stat.size} bytes, more than 4 GiB; split it into several files`);
  return fsp.readFile(path);
}
