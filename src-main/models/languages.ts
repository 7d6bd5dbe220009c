import fsp from 'node:fs/promises';
import path from 'node:path';

/** More codes than this say less than a number would. */
const MOST = 40;
/** A card's head lies in so many characters. */
const HEAD = 2 ** 16;

/** Codes of languages out of a file's own words for them: one, or a list. Undefined where there are none. */
export function languagesOf(given: unknown): string[] | undefined {
  const list = (Array.isArray(given) ? given : [given]) as unknown[];
  const codes = list.filter((one): one is string => typeof one === 'string' && /^[a-z]{2,3}(-[a-z0-9]+)*$/i.test(one));
  return codes.length > 0 ? codes.slice(0, MOST) : undefined;
}

/** The languages (`language:`) that a Hugging Face folder's README.md names in its head. */
export async function languagesOfCard(folder: string): Promise<string[] | undefined> {
  const text = await fsp.readFile(path.join(folder, 'README.md'), 'utf8').catch(() => '');
  const [, head] = /^\ufeff?---\r?\n(.*?)\r?\n---/s.exec(text.slice(0, HEAD)) ?? [];
  if (head === undefined) return undefined;
  const { parse } = await import('yaml');
  try {
    return languagesOf((parse(head, { maxAliasCount: 100 }) as { language?: unknown } | null)?.language);
  } catch {
    return undefined; // a card that is no YAML says nothing; the model is read all the same
  }
}
