import fsp from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../engine/types.ts';

/** What is nested deeper than this is no file of a model, and more than some readers' stacks hold. */
const MOST_DEPTH = 200;

/**
 * Reads a JSON file whole.
 * @throws UserError when it is not there, larger than `mostBytes`, nested without end, or not JSON
 */
export async function readJsonFile(file: string, mostBytes: number): Promise<unknown> {
  const stat = await fsp.stat(file).catch((error: NodeJS.ErrnoException) => {
    throw new UserError(`${file} can't be opened (${error.code}); check the path`);
  });
  if (!stat.isFile()) throw new UserError(`${file} is no file; fetch it again`);
  if (stat.size > mostBytes)
    throw new UserError(`${file} has ${stat.size} bytes, too many for a model's ${path.basename(file)}`);
  return parseJson(await fsp.readFile(file, 'utf8'), file);
}

/** Parses a JSON text. @throws UserError naming the file when it isn't JSON, or nested without end */
export function parseJson(text: string, file: string): unknown {
  if (depthOf(text) > MOST_DEPTH) throw new UserError(`${file} is nested more than ${MOST_DEPTH} deep; fetch it again`);
  try {
    return JSON.parse(text.charCodeAt(0) === 0xfeff ? text.slice(1) : text);
  } catch {
    throw new UserError(`${file} is not valid JSON; fetch it again`);
  }
}

/** How deep brackets are nested, strings left out. */
function depthOf(text: string): number {
  let depth = 0;
  let deepest = 0;
  let inString = false;
  for (let i = 0; i < text.length; i++) {
    const code = text.charCodeAt(i);
    if (inString) {
      if (code === 0x5c) i++;
      else if (code === 0x22) inString = false;
    } else if (code === 0x22) inString = true;
    else if (code === 0x7b || code === 0x5b) deepest = Math.max(deepest, ++depth);
    else if (code === 0x7d || code === 0x5d) depth--;
  }
  return deepest;
}
