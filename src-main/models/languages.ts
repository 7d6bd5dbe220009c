import { cardHead, parsedHead } from './card.ts';

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
  const head = await cardHead(folder, HEAD);
  if (head === undefined) return undefined;
  try {
    return languagesOf(((await parsedHead(head)) as { language?: unknown } | null)?.language);
  } catch {
    return undefined; // a card that is no YAML says nothing; the model is read all the same
  }
}
