import fsp from 'node:fs/promises';
import path from 'node:path';
import type { CaptionPage, ShownPicture } from '../../../src-preload/contract/index.ts';
import { captionFileOf } from '../../data/formats/caption-names.ts';
import { pictureBytes } from '../../data/picture-bytes.ts';
import { UserError } from '../../engine/types.ts';
import { captionsAt, undoableCaptions, type OneCaption } from '../datasets/caption-files.ts';
import { thumbnail } from './thumbnail.ts';
import type { Jobs } from './types.ts';

type Request<Name extends keyof Jobs> = Parameters<Jobs[Name]>[0];

/** Tags that are offered. */
const SHOWN_TAGS = 40;
/** Pictures that are named as left out of a copy. */
const NAMED = 20;

/** A page of a dataset's pictures and captions. */
export async function captionPage({
  path: place,
  undo,
  search,
  empty,
  from,
  count,
  ...part
}: Request<'captions'>): Promise<CaptionPage> {
  const { folder, beside, captions } = await captionsAt(place, part);
  const words = search.toLocaleLowerCase().split(/\s+/).filter(Boolean);
  const matching = captions.filter(({ picture, caption }) => {
    const text = `${picture}\n${caption}`.toLocaleLowerCase();
    return words.every((word) => text.includes(word)) && (!empty || caption === '');
  });
  const pictures = [];
  // One after the other: large pictures are decoded for it.
  for (const one of matching.slice(from, from + count)) pictures.push(await shownCaption(one, folder));
  return {
    ...{ pictures, matching: matching.length, all: captions.length, tags: tagsOf(captions) },
    without: captions.filter(({ caption }) => caption === '').length,
    folder: beside ? folder : undefined,
    undoable: await undoableCaptions(undo),
  };
}

async function shownCaption(
  { picture, caption, source, problem }: OneCaption,
  folder: string,
): Promise<CaptionPage['pictures'][number]> {
  if (!source) return { picture, caption, problem };
  try {
    const name = path.basename(picture);
    const shown: ShownPicture = {
      name,
      ...(await thumbnail({ name, bytes: await pictureBytes(source, folder, name) })),
    };
    return { picture, caption, shown };
  } catch (error) {
    if (error instanceof UserError) return { picture, caption, problem: error.message };
    throw error;
  }
}

function tagsOf(captions: OneCaption[]): CaptionPage['tags'] {
  const counts = new Map<string, number>();
  for (const { caption } of captions)
    for (const tag of new Set(caption.split(',').map((one) => one.trim()).filter(Boolean))) counts.set(tag, (counts.get(tag) ?? 0) + 1); // prettier-ignore
  const several = [...counts].filter(([, count]) => count > 1).sort((a, b) => b[1] - a[1]);
  return several.slice(0, SHOWN_TAGS).map(([tag, count]) => ({ tag, count }));
}

/** Copies a dataset's pictures into `folder`, their captions beside them; what can't be copied is named. @throws UserError where nothing can */
export async function copyCaptioned({
  path: place,
  folder: to,
  ...part
}: Request<'ownCaptions'>): Promise<{ pictures: number; left: string[] }> {
  const { folder, captions } = await captionsAt(place, part);
  const left: string[] = [];
  let pictures = 0;
  for (const { picture, caption, source, problem } of captions)
    try {
      if (!source) throw new UserError(problem ?? picture);
      const name = 'path' in source ? picture : `${picture}${kindOfBytes(source.bytes)}`;
      const bytes = await pictureBytes(source, folder, path.basename(picture));
      await fsp.mkdir(path.dirname(path.join(to, name)), { recursive: true });
      await fsp.writeFile(path.join(to, name), bytes);
      if (caption !== '') await fsp.writeFile(path.join(to, captionFileOf(name)), `${caption}\n`);
      pictures += 1;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      left.push(error.message);
    }
  if (pictures > 0) return { pictures, left: left.slice(0, NAMED) };
  throw new UserError(`None of the pictures of ${place} can be copied: ${left[0] ?? 'there are none'}`);
}

/** A picture's ending by how it begins. */
function kindOfBytes(bytes: Uint8Array): string {
  if (bytes[0] === 0xff) return '.jpg';
  const start = Buffer.from(bytes.subarray(0, 12)).toString('latin1');
  return start.startsWith('RIFF') ? '.webp' : start.startsWith('GIF') ? '.gif' : '.png';
}
