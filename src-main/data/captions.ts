import fsp from 'node:fs/promises';
import path from 'node:path';
import { isAbout, kindOf, DATASET_KINDS } from '../../src-preload/contract/uploads.ts';
import { nearest } from '../engine/nearest.ts';
import { UserError } from '../engine/types.ts';
import { unreadColumns, type Mapping } from './columns.ts';
import { fieldText, RowRefusal } from './field-text.ts';
import { unpackedName } from './formats/bytes.ts';
import { namesIn } from './formats/folder.ts';
import { captionFileOf, captionsOf, isCaption } from './formats/caption-names.ts';
import { captionFolder, FOLDER_COLUMNS } from './formats/picture-folder.ts';
import { commonFolder, openRows, type PlacePart, type RowSource } from './formats/rows.ts';
import { given, pictureName, sourceOf, type PictureSource } from './picture-rows.ts';
import type { Row } from './types.ts';

/** A picture with what is told of it. */
export interface CaptionedPicture {
  row: number;
  /** '' where captions may be missing */
  caption: string;
  source: PictureSource;
  name: string;
  /** how often it is seen in a pass */
  repeats: number;
}

/** Which columns hold pictures and captions. */
export interface CaptionPlan {
  picture: string;
  caption: string;
  /** of a folder with captions beside its pictures, which may say how often each is seen in a pass */
  beside?: { repeats?: string };
}

/** Fields that a mapping may name, by the columns that they are recognised by. */
const FIELDS = {
  picture: ['image', 'picture', 'photo', 'file_name', 'jpg', 'png', 'webp', 'image_path'],
  caption: ['text', 'caption', 'prompt', 'description', 'txt'],
};

/** Captioned pictures, row by row, and the folder that names in rows begin in. */
export interface CaptionedRows {
  rows: RowSource;
  plan: CaptionPlan;
  folder: string;
  /** what is not read, as sentences */
  notes: string[];
}

/**
 * Opens pictures with captions: a folder with captions beside its pictures, one with a table of them (metadata.csv, metadata.jsonl, as
 * imagefolder has it, or Parquet with the pictures inside), or such a table itself.
 * @throws UserError where nothing says what the captions are, or two places do
 */
export async function openCaptioned(place: string, part: PlacePart, mapping: Mapping = {}): Promise<CaptionedRows> {
  const stat = await fsp.stat(place).catch(() => undefined);
  const listed = stat?.isDirectory() ? await formOf(place) : 'table';
  const rows = listed === 'folder' ? await captionFolder(place, part) : await openRows(place, part);
  const folder = listed === 'folder' ? path.resolve(place) : commonFolder(rows.files);
  const plan = planCaptions(rows.columns, place, mapping);
  if (listed === 'folder') plan.beside = { repeats: rows.columns.find((name) => name === FOLDER_COLUMNS.repeats) };
  const { picture, caption } = plan;
  const unread = listed === 'folder' ? [] : unreadColumns(rows.columns, { picture, caption });
  const notes = unread.length > 0 ? [`Of ${place} these columns are not read: ${unread.join(', ')}`] : [];
  return { rows, plan, folder, notes };
}

/** Whether a folder is one of captions beside pictures, or one of tables. @throws UserError where it is both */
export async function formOf(folder: string): Promise<'folder' | 'table'> {
  const { names, pictures } = await namesIn(folder, MOST_FILES);
  const tables = names.filter((name) => isTable(name) && !isAbout(path.basename(name)));
  if (tables.length === 0 && pictures.length > 0) return 'folder';
  if (tables.length > 0 && captionsOf(names, pictures).length > 0)
    throw new UserError(
      `${folder} has captions beside its pictures and in ${tables[0]}, too; name that table to read it, or move it away to read the captions beside the pictures`,
    );
  return 'table';
}

/** The rows at a place, as captions beside pictures where there is nothing else, for whoever only asks which files they lie in. @throws UserError */
export async function openAnyRows(place: string, part: PlacePart): Promise<RowSource> {
  const stat = await fsp.stat(place).catch(() => undefined);
  const form = stat?.isDirectory() ? await formOf(place).catch(() => 'table') : 'table';
  return form === 'folder' ? captionFolder(place, part) : openRows(place, part);
}

const MOST_FILES = 100_000;
const isTable = (name: string) => DATASET_KINDS.includes(kindOf(unpackedName(name))) && !isCaption(name) && kindOf(name) !== '.md'; // prettier-ignore

/** Recognises pictures and captions by the names of columns; `mapping` overrides that. @throws UserError naming the columns that are there */
export function planCaptions(columns: string[], file: string, mapping: Mapping): CaptionPlan {
  for (const [field, column] of Object.entries(mapping)) {
    if (!(field in FIELDS))
      throw new UserError(
        `${file}: the mapping names the field "${field}"; of captioned pictures there are picture and caption`,
      );
    if (!columns.includes(column))
      throw new UserError(
        `${file}: the mapping reads "${field}" from the column "${column}", which is not there; did you mean "${nearest(column, columns)}"? (its columns are ${columns.join(', ')})`,
      );
  }
  const of = (field: keyof typeof FIELDS) => mapping[field] ?? FIELDS[field].find((name) => columns.includes(name));
  const [picture, caption] = [of('picture'), of('caption')];
  if (picture !== undefined && caption !== undefined) return { picture, caption };
  const lacks = [...(picture ? [] : ['the pictures']), ...(caption ? [] : ['the captions'])].join(' and ');
  throw new UserError(
    `${file}: none of its columns (${columns.join(', ')}) is known to hold ${lacks}; name them with a mapping of picture and caption, or call them image and text`,
  );
}

/**
 * One row as a captioned picture, or the reason why it is none.
 * @param maySay nothing: rows without a caption are taken, as a trigger word speaks for them
 */
export function readCaptioned(
  { row, fields }: Row,
  { picture, caption, beside }: CaptionPlan,
  folder: string,
  maySayNothing = false,
): CaptionedPicture | string {
  try {
    const pictures = given(fields[picture]);
    if (pictures.length !== 1)
      return pictures.length === 0
        ? `it has no picture (column "${picture}")`
        : `it has ${pictures.length} pictures (column "${picture}"); give each a row of its own`;
    const source = sourceOf(pictures[0], folder);
    const told = fields[caption];
    if (Array.isArray(told)) return `its caption is a list (column "${caption}"); give each caption a row of its own`;
    const text = fieldText(told, caption).replace(/\s+/g, ' ').trim();
    if (text === '' && !maySayNothing)
      return beside
        ? `${String(pictures[0])} has no caption; write it into ${captionFileOf(String(pictures[0]))} beside it`
        : `it has no caption (column "${caption}")`;
    const times = beside?.repeats === undefined ? 1 : Number(fields[beside.repeats] ?? 1);
    return { row, caption: text, source, name: pictureName(source, 0), repeats: times };
  } catch (error) {
    if (error instanceof RowRefusal) return error.message;
    throw error;
  }
}
