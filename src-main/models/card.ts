import fsp from 'node:fs/promises';
import path from 'node:path';

/**
 * What stands between the lines `---` at the beginning of a Hugging Face folder's README.md, whose first so many characters are
 * looked at; undefined where there is none.
 */
export async function cardHead(folder: string, characters: number): Promise<string | undefined> {
  const text = await fsp.readFile(path.join(folder, 'README.md'), 'utf8').catch(() => '');
  return /^\ufeff?---\r?\n(.*?)\r?\n---/s.exec(text.slice(0, characters))?.[1];
}

/** A card's head as YAML, whose reader is loaded for it: most folders have no card. @throws where it is none */
export async function parsedHead(head: string): Promise<unknown> {
  const { parse } = await import('yaml');
  return parse(head, { maxAliasCount: 100 });
}
