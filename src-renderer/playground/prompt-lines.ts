import { MOST_PICTURES } from '../../src-preload/contract/index.ts';
import type { ChatPicture } from '../../src-preload/contract/index.ts';

/** One prompt of a set. */
export interface SetPrompt {
  /** as it was written */
  line: string;
  /** without the names of its pictures */
  content: string;
  pictures: Pick<ChatPicture, 'id' | 'name'>[];
}

const NAMED = /\[([^[\]]+\.(?:png|jpe?g|webp))\]\s*/gi;

/**
 * The prompts of a set, one a line; `[name.png]` in a line names a picture that it is about.
 * @param pictures those to name; undefined: the model sees none, and brackets are text
 * @throws Error for a name that no picture has, or two have
 */
export function promptsOf(text: string, pictures?: ChatPicture[]): SetPrompt[] {
  const lines = text
    .split('\n')
    .map((line) => line.trim())
    .filter(Boolean);
  if (!pictures) return lines.map((line) => ({ line, content: line, pictures: [] }));
  return lines.map((line) => {
    const named = [...line.matchAll(NAMED)].map(([, name]) => pictureCalled(name!, pictures));
    if (named.length > MOST_PICTURES)
      throw new Error(`“${line}” names ${named.length} pictures; a prompt is about ${MOST_PICTURES} at most.`);
    const content = line.replace(NAMED, '').trim();
    if (content === '') throw new Error(`“${line}” names a picture and asks nothing. Write the question behind it.`);
    return { line, content, pictures: named.map(({ id, name }) => ({ id, name })) };
  });
}

function pictureCalled(name: string, pictures: ChatPicture[]): ChatPicture {
  const [found, other] = pictures.filter((picture) => picture.name === name);
  if (!found) throw new Error(`[${name}] is none of the pictures above. Add it, or correct its name.`);
  if (other) throw new Error(`Two of the pictures above are called ${name}. Remove one of them.`);
  return found;
}
