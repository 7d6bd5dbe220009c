import fsp from 'node:fs/promises';
import path from 'node:path';
import { isAbout } from '../../../src-preload/contract/uploads.ts';
import { UserError } from '../../engine/types.ts';
import type { Row } from '../types.ts';
import { isCaption, stemOf } from './caption-names.ts';
import { namesIn, splitNamed } from './folder.ts';
import type { BrokenRow, Note, PlacePart, RowSource } from './source.ts';
import { decodedText } from './text-file.ts';

const MOST_CAPTIONS = 100_000;
const MOST_LETTERS = 1 << 16;
/** Rows that are read at once. */
const ROWS = 256;
/** A folder whose name says that its pictures are seen more often than this has that number for another reason. */
const MOST_REPEATS = 1000;

/** The columns that rows of such a folder have. */
export const FOLDER_COLUMNS = { picture: 'image', caption: 'caption', repeats: 'repeats' };

/** A picture of such a folder with what belongs to it. */
interface Placed {
  picture: string;
  captions: string[];
  /** of a folder named `10_name`: how often it is seen in a pass, and what its pictures are called */
  repeats?: { times: number; name: string };
}

/**
 * A folder of pictures, each with its caption beside it (`cat.png`, `cat.txt`), in the order of their names. Folders below it named train,
 * validation or test are splits; one named `10_name` has its pictures seen ten times in a pass and, where they have no caption of their own,
 * called by that name, as kohya's scripts have it.
 * @throws UserError for a split that isn't there, and for regularisation pictures
 */
export async function captionFolder(folder: string, { split: wanted, ...part }: PlacePart): Promise<RowSource> {
  if (part.config !== undefined)
    throw new UserError(
      `${folder} is a folder of pictures and has no configuration "${part.config}"; leave config out`,
    );
  const notes: string[] = [];
  const note: Note = (sentence) => {
    if (!notes.includes(sentence)) notes.push(sentence);
  };
  const { names, pictures } = await namesIn(folder, MOST_CAPTIONS);
  const captions = names.filter((name) => isCaption(name) && !isAbout(path.basename(name)));
  const bySplit = groupedBy([...pictures, ...captions].sort(), splitOfFile);
  const splits = [...bySplit.keys()];
  const split = wanted ?? (splits.includes('train') ? 'train' : splits[0]!);
  const files = bySplit.get(split);
  if (!files) throw new UserError(`${folder} has no split "${split}"; name one of ${splits.join(', ')} with split`);
  const others = splits.filter((name) => name !== split);
  if (others.length > 0) note(`${folder}: the split ${split} is read, not ${others.join(', ')}`);
  const { placed, alone } = placedIn(files, folder);
  sayRepeats(placed, note);
  const { picture, caption, repeats } = FOLDER_COLUMNS;
  const isRepeated = placed.some((one) => one.repeats);
  return {
    columns: [picture, caption, ...(isRepeated ? [repeats] : [])],
    files: files.filter(isCaption).map((name) => path.join(folder, name)),
    ...{ split, splits, notes },
    rows: () => rowsOf(placed, alone, folder, note),
  };
}

/** By a key, in the order in which keys come. */
function groupedBy<T>(items: T[], keyOf: (item: T) => string): Map<string, T[]> {
  const groups = new Map<string, T[]>();
  for (const item of items) {
    const group = groups.get(keyOf(item));
    if (group) group.push(item);
    else groups.set(keyOf(item), [item]);
  }
  return groups;
}

const foldersOf = (name: string) => path.dirname(name).split(path.sep);
const splitOfFile = (name: string) => foldersOf(name).map(splitNamed).find(Boolean) ?? 'train';

function placedIn(files: string[], folder: string): { placed: Placed[]; alone: string[] } {
  const captions = groupedBy(files.filter(isCaption), stemOf);
  const pictures = files.filter((name) => !isCaption(name));
  const stems = new Set(pictures.map(stemOf));
  const placed = pictures.map((picture) => ({
    ...{ picture, captions: captions.get(stemOf(picture)) ?? [] },
    repeats: repeatsOf(picture, folder),
  }));
  return { placed, alone: [...captions].flatMap(([stem, own]) => (stems.has(stem) ? [] : own)) };
}

function repeatsOf(picture: string, folder: string): Placed['repeats'] {
  const within = foldersOf(picture);
  const regular = within.find((name) => /^reg(ulari[sz]ation)?(_?images)?$/i.test(name));
  if (regular)
    throw new UserError(
      `${folder} holds pictures for regularisation (${regular}), which the studio doesn't train with; give the folder with the pictures to learn`,
    );
  // The folder that was given may be such a one itself.
  const own = within.at(-1) === '.' ? path.basename(path.resolve(folder)) : within.at(-1)!;
  const [, digits, name] = /^(\d+)_(.*)$/.exec(own) ?? [];
  if (digits === undefined) return undefined;
  const times = Number(digits);
  if (times > MOST_REPEATS || times === 0)
    throw new UserError(
      `By its name the pictures of the folder ${own} are seen ${digits} times in a pass, and 1 to ${MOST_REPEATS} times are possible; if that is not meant, give it a name without a number before "_"`,
    );
  return { times, name: name!.trim() };
}

function sayRepeats(placed: Placed[], note: Note): void {
  const named = groupedBy(
    placed.filter((one) => one.repeats),
    ({ picture }) => path.dirname(picture),
  );
  for (const [folder, some] of named) {
    const { times, name } = some[0]!.repeats!;
    const shown = folder === '.' ? 'the folder' : folder;
    if (times > 1) note(`Pictures of ${shown} are seen ${times} times in a pass, as the folder’s name says`);
    const without = some.filter((one) => one.captions.length === 0).length;
    if (without === 0 || name === '') continue;
    const which =
      without === 1
        ? `A picture of ${shown} has no caption of its own and is`
        : `${without} pictures of ${shown} have no caption of their own and are`;
    note(`${which} called "${name}", as the folder’s name says`);
  }
}

async function* rowsOf(
  placed: Placed[],
  alone: string[],
  folder: string,
  note: Note,
): AsyncGenerator<(Row | BrokenRow)[]> {
  for (let at = 0; at < placed.length; at += ROWS)
    yield await Promise.all(placed.slice(at, at + ROWS).map((one, i) => rowOf(one, at + i + 1, folder, note)));
  yield alone.map((name, i) => ({
    row: placed.length + i + 1,
    reason: `${name} is a caption, and no picture of its name lies beside it`,
  }));
}

async function rowOf(
  { picture, captions, repeats }: Placed,
  row: number,
  folder: string,
  note: Note,
): Promise<Row | BrokenRow> {
  if (captions.length > 1) return { row, reason: `${picture} has several captions (${captions.join(', ')}); keep one` };
  const [file] = captions;
  try {
    const caption = file === undefined ? (repeats?.name ?? '') : await captionOf(path.join(folder, file), note);
    const fields: Row['fields'] = { [FOLDER_COLUMNS.picture]: picture, [FOLDER_COLUMNS.caption]: caption };
    if (repeats) fields[FOLDER_COLUMNS.repeats] = repeats.times;
    return { row, fields };
  } catch (error) {
    if (error instanceof UserError) return { row, reason: error.message };
    throw error;
  }
}

/** @throws UserError for what is no text, or too long */
async function captionOf(file: string, note: Note): Promise<string> {
  if ((await fsp.stat(file)).size === 0) return '';
  let text = '';
  for await (const part of decodedText(file, note)) {
    text += part;
    if (text.length > MOST_LETTERS) throw new UserError(`${file} is longer than ${MOST_LETTERS} letters, no caption`);
  }
  const lines = text.replace(/^\ufeff/, '').split(/\r?\n/).map((line) => line.trim()).filter(Boolean); // prettier-ignore
  if (lines.length > 1) note('Captions of several lines are read as one line');
  return lines.join(' ');
}
