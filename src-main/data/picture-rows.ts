import path from 'node:path';
import type { ChatMessage, ContentPart } from '../models/types.ts';
import { UserError } from '../engine/types.ts';
import { planColumns, type ColumnPlan } from './columns.ts';
import { isMessageList, isPresent, parsedIfText, RowRefusal } from './field-text.ts';
import { isObject } from './formats/source.ts';
import { readExample } from './read-example.ts';
import type { Example, Row } from './types.ts';

/** A row's picture: a file of the dataset's folder, or its bytes. */
export type PictureSource = { path: string } | { bytes: Uint8Array };

/** A conversation with pictures: where one belongs, a message's content has a part `{ type: 'image' }`. */
export type PictureExample = Extract<Example, { kind: 'chat' }> & {
  /** in the order of their places */
  pictures: PictureSource[];
};

export interface NamedPicture {
  name: string;
  source: PictureSource;
}

/** What a row's picture is called: its file's name, else its place in the row, from 0. */
export const pictureName = (source: PictureSource, place: number) =>
  'path' in source ? path.basename(source.path) : `picture ${place + 1}`;

/** What datasets write where a picture belongs. */
const MARK = '<image>';
const COLUMN = /^(image|picture|photo)s?$/i;
/** The column by which a folder of pictures has them in its metadata.csv or metadata.jsonl. */
const FILE_NAME = 'file_name';
const PICTURE_NAME = /\.(png|jpe?g|webp|gif|bmp|tiff?|heic|avif)$/i;

/** Whether a column of this name may hold pictures. */
export const isOfPictures = (name: string) => COLUMN.test(name) || name === FILE_NAME;

/** The columns that pictures are read from. */
export function pictureColumns({ media, columns }: ColumnPlan, names: string[]): string[] {
  const found = media.filter((name) => COLUMN.test(name));
  const isFree = names.includes(FILE_NAME) && !Object.values(columns).includes(FILE_NAME);
  return found.length > 0 || !isFree ? found : [FILE_NAME];
}

/**
 * One row with pictures: LLaVA's and ShareGPT's form (`<image>` in a message, `image` or `images` beside them), parts of messages
 * with `image_url` or `image`, or a picture with question and answer. A row without pictures is read as `readExample` reads it.
 * @param folder the dataset's: pictures are looked for there and below
 * @returns the example, or the reason why the row is none
 */
export function readPictureExample(row: Row, plan: ColumnPlan, folder: string): Example | PictureExample | string {
  try {
    const columns = pictureColumns(plan, Object.keys(row.fields));
    const column = columns.flatMap((name) => given(row.fields[name])).map((one) => sourceOf(one, folder));
    const { fields, inside } = withMarks(row.fields, plan, folder);
    if (column.length > 0 && inside.length > 0)
      throw new RowRefusal('it has pictures in its messages and in a column of their own; give them in one of the two');
    const pictures = [...column, ...inside];
    const example = readExample(
      { ...row, fields },
      { ...plan, media: plan.media.filter((name) => !columns.includes(name)) },
    );
    if (typeof example === 'string' || (pictures.length === 0 && !asksForOne(example))) return example;
    if (example.kind !== 'chat')
      throw new RowRefusal('it has pictures, which need messages, or a question (instruction) and an answer (output)');
    return { ...example, messages: withParts(example.messages, pictures.length), pictures };
  } catch (error) {
    if (error instanceof RowRefusal) return error.message;
    throw error;
  }
}

/**
 * A row's pictures whatever serves as what in it, and what is wrong with them.
 * @param columns the dataset's
 */
export function picturesIn(
  row: Row,
  columns: string[],
  folder: string,
): { pictures: NamedPicture[]; problem?: string } {
  const named = (sources: PictureSource[]) => sources.map((source, i) => ({ name: pictureName(source, i), source }));
  try {
    const plan = planOf(columns);
    const own = pictureColumns(plan, columns).flatMap((name) =>
      // Other files are named so, too.
      given(row.fields[name]).filter((one) => name !== FILE_NAME || PICTURE_NAME.test(String(one))),
    );
    return { pictures: named([...own.map((one) => sourceOf(one, folder)), ...withMarks(row.fields, plan, folder).inside]) }; // prettier-ignore
  } catch (error) {
    if (error instanceof RowRefusal) return { pictures: [], problem: error.message };
    throw error;
  }
}

/** As its columns are recognised, or else those of pictures alone. */
function planOf(columns: string[]): ColumnPlan {
  try {
    return planColumns(columns, '');
  } catch (error) {
    if (!(error instanceof UserError)) throw error;
    return { format: 'text', columns: {}, media: columns.filter((name) => COLUMN.test(name)) };
  }
}

/** What a field holds, one or several. */
export const given = (value: unknown): unknown[] =>
  (Array.isArray(value) ? (value as unknown[]) : [value]).filter((one) => isPresent(one) && one !== '');

const asksForOne = (example: Example) => example.kind === 'chat' && example.messages.some((one) => marksIn(one) > 0);

/** The fields with marks for the pictures that parts of messages hold, and those pictures. */
function withMarks(fields: Row['fields'], { format, columns }: ColumnPlan, folder: string) {
  const inside: PictureSource[] = [];
  if (format !== 'chat') return { fields, inside };
  const column = columns.messages!;
  const value = fields[column];
  const list = typeof value === 'string' ? parsedIfText(value) : value;
  if (!isMessageList(list)) return { fields, inside };
  const marked = list.map(({ content, ...message }) => ({
    ...message,
    ...(content !== undefined && { content: Array.isArray(content) ? content.map(markOf) : content }),
  }));
  function markOf(part: unknown): unknown {
    if (!isObject(part) || !['image', 'image_url', 'input_image'].includes(String(part.type))) return part;
    const source = pictureOf(part);
    if (source !== undefined) inside.push(sourceOf(source, folder));
    return { type: 'text', text: MARK };
  }
  return { fields: { ...fields, [column]: marked }, inside };
}

/** What a part says of its picture; undefined where that stands in a column. */
function pictureOf(part: Record<string, unknown>): unknown {
  const { image_url: address, image, path: file, url } = part;
  return [isObject(address) ? address.url : address, image, file, url].find(isPresent);
}

/** A picture as rows have it: a file's name, bytes, or bytes as text. @throws RowRefusal for what is no picture of the dataset's */
export function sourceOf(value: unknown, folder: string): PictureSource {
  if (ArrayBuffer.isView(value)) return { bytes: new Uint8Array(value.buffer, value.byteOffset, value.byteLength) };
  if (isObject(value)) return sourceOf(isPresent(value.bytes) ? value.bytes : (value.path ?? value.url), folder);
  if (typeof value !== 'string') throw new RowRefusal('its picture is neither a file’s name nor bytes');
  const [, data] = /^data:image\/[\w.+-]+;base64,([A-Za-z0-9+/]+={0,2})$/s.exec(value) ?? [];
  if (data !== undefined) return { bytes: Buffer.from(data, 'base64') };
  // As tables hold pictures: no file has so long a name.
  if (value.length > 1000 && /^[A-Za-z0-9+/]+={0,2}$/.test(value)) return { bytes: Buffer.from(value, 'base64') };
  if (/^[a-z][a-z0-9+.-]+:/i.test(value))
    throw new RowRefusal(
      `its picture is at ${value.slice(0, 60)}, and nothing is fetched; put the file beside the dataset and name it`,
    );
  const file = path.resolve(folder, value);
  const inside = path.relative(folder, file);
  if (inside.startsWith('..') || path.isAbsolute(inside))
    throw new RowRefusal(
      `its picture ${value.slice(0, 60)} lies outside the dataset’s folder; put it into that folder`,
    );
  return { path: file };
}

const marksIn = ({ content }: ChatMessage) => (typeof content === 'string' ? content.split(MARK).length - 1 : 0);

/** Marks as parts; pictures without a mark stand before what is asked first. */
function withParts(messages: ChatMessage[], pictures: number): ChatMessage[] {
  const marks = messages.reduce((sum, message) => sum + marksIn(message), 0);
  const first = messages.findIndex(({ role }) => role === 'user');
  if (marks === 0 && first >= 0)
    return messages.map((message, i) => (i === first ? { ...message, content: partsOf(MARK.repeat(pictures) + String(message.content)) } : message)); // prettier-ignore
  if (marks !== pictures) throw new RowRefusal(`it has ${pictures} pictures and ${marks} places ${MARK} for them`);
  return messages.map((message) => {
    if (marksIn(message) === 0) return message;
    if (message.role !== 'user') throw new RowRefusal(`a message of the role "${message.role}" holds a picture`);
    return { ...message, content: partsOf(String(message.content)) };
  });
}

function partsOf(text: string): ContentPart[] {
  return text
    .split(MARK)
    .flatMap((piece, i) => [...(i > 0 ? [{ type: 'image' }] : []), ...(piece ? [{ type: 'text', text: piece }] : [])]);
}
