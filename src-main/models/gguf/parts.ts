import fs from 'node:fs';
import path from 'node:path';
import { UserError } from '../../engine/types.ts';
import { FileReader } from '../file-reader.ts';
import { readGgufHeader } from './header.ts';
import type { GgufHeader, GgufTensor } from './types.ts';

/** An opened GGUF model: one file, or the parts that llama-gguf-split made of one. */
export interface GgufFile {
  /** of the whole: the first part's metadata, every part's tensors */
  header: GgufHeader;
  paths: string[];
  byteLength: number;
  /** a tensor's bytes */
  read(tensor: GgufTensor): Promise<Uint8Array>;
  pathOf(tensor: GgufTensor): string;
  close(): Promise<void>;
}

const PART = /^(.*)-(\d{5})-of-(\d{5})\.gguf$/i;
const MOST_PARTS = 1000;

/** Opens a GGUF file, from any of its parts where it has some. @throws UserError that names the parts that are missing */
export async function openGgufFile(file: string): Promise<GgufFile> {
  const readers: FileReader[] = [];
  const close = async () => void (await Promise.all(readers.map((reader) => reader.close())));
  try {
    const opened = await open(file, readers);
    const count = opened.header.metadata.get('split.count') ?? 1;
    const parts = count === 1 ? [opened] : await openParts(file, opened.header, readers);
    const places = new Map<GgufTensor, FileReader>();
    const tensors = new Map<string, GgufTensor>();
    for (const { reader, header } of parts)
      for (const tensor of header.tensors.values()) {
        if (tensors.has(tensor.name))
          throw new UserError(`${reader.path}: tensor "${tensor.name}" is in another part, too`);
        tensors.set(tensor.name, tensor);
        places.set(tensor, reader);
      }
    const total = opened.header.metadata.get('split.tensors.count');
    if (count !== 1 && typeof total === 'number' && total !== tensors.size)
      throw new UserError(
        `${file}: its ${parts.length} parts hold ${tensors.size} tensors of ${total}; fetch them again`,
      );
    return {
      header: { ...parts[0]!.header, tensors },
      paths: parts.map(({ reader }) => reader.path),
      byteLength: parts.reduce((sum, { reader }) => sum + reader.byteLength, 0),
      read: (tensor) => places.get(tensor)!.read(tensor.offset, tensor.byteLength),
      pathOf: (tensor) => places.get(tensor)!.path,
      close,
    };
  } catch (error) {
    await close();
    throw error;
  }
}

interface Part {
  reader: FileReader;
  header: GgufHeader;
}

async function open(file: string, readers: FileReader[]): Promise<Part> {
  const reader = await FileReader.open(file);
  readers.push(reader);
  return { reader, header: await readGgufHeader(reader) };
}

/** All parts in order. They lie side by side and count themselves in their names and from 0 in split.no. */
async function openParts(file: string, { metadata }: GgufHeader, readers: FileReader[]): Promise<Part[]> {
  const [count, own] = [metadata.get('split.count'), metadata.get('split.no')];
  if (
    typeof count !== 'number' ||
    typeof own !== 'number' ||
    !(own >= 0 && own < count && count <= MOST_PARTS) ||
    count % 1
  )
    throw new UserError(`${file} says that it is part ${String(own)} of ${String(count)}; fetch it again`);
  const [, name, inName, countInName] = PART.exec(path.basename(file)) ?? [];
  const here = `${file} is part ${own + 1} of ${count} of a model`;
  if (name === undefined || Number(inName) !== own + 1 || Number(countInName) !== count)
    throw new UserError(
      `${here}, which its name doesn't say; name the parts …-${digits(own + 1)}-of-${digits(count)}.gguf`,
    );
  const names = Array.from({ length: count }, (_, i) => `${name}-${digits(i + 1)}-of-${digits(count)}.gguf`);
  const places = names.map((each, i) => (i === own ? file : path.join(path.dirname(file), each)));
  const missing = names.filter((_, i) => !fs.existsSync(places[i]!));
  if (missing.length)
    throw new UserError(
      `${here}, and ${missing.slice(0, 5).join(', ')}${missing.length > 5 ? ` and ${missing.length - 5} more` : ''} ${missing.length > 1 ? 'are' : 'is'} missing beside it; fetch all parts into one folder`,
    );
  const parts: Part[] = [];
  for (const [i, place] of places.entries()) {
    const part = await open(place, readers);
    const said = part.header.metadata;
    if (said.get('split.no') !== i || said.get('split.count') !== count)
      throw new UserError(`${place} is no part ${i + 1} of ${count}; fetch it again`);
    parts.push(part);
  }
  return parts;
}

const digits = (part: number) => String(part).padStart(5, '0');
