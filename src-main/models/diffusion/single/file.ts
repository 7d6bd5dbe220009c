import { UserError } from '../../../engine/types.ts';
import { FileReader } from '../../file-reader.ts';
import { readFloats, readSafetensorsHeader, type SafetensorsEntry, type SafetensorsHeader } from '../../safetensors.ts';
import type { TensorInfo } from '../../types.ts';
import type { DiffusionSource } from '../source.ts';

/** A tensor in a single file: of one that holds three side by side the number of the part; `turned`: rows and columns changed places. */
export interface PlaceInFile {
  name: string;
  third?: 0 | 1 | 2;
  turned?: boolean;
}

/** The tensors of a single file by their names in it. */
export type Header = ReadonlyMap<string, SafetensorsEntry>;

/** @throws UserError for a file that is no safetensors, or damaged */
export async function readHeader(file: string): Promise<SafetensorsHeader> {
  const reader = await FileReader.open(file);
  try {
    return await readSafetensorsHeader(reader);
  } finally {
    await reader.close();
  }
}

/**
 * A part of a single file, under the names that diffusers and transformers have.
 * @param names of the part's tensors in diffusers
 * @param placeOf where each of them lies
 * @param prefix of the part's tensors in the file
 * @param isUnused what the part may hold besides, by its name behind the prefix
 */
export async function openInFile(
  file: string,
  names: string[],
  placeOf: (name: string) => PlaceInFile,
  prefix: string,
  isUnused: (name: string) => boolean,
): Promise<DiffusionSource> {
  const reader = await FileReader.open(file);
  try {
    const { tensors } = await readSafetensorsHeader(reader);
    const places = new Map(names.map((name) => [name, placeOf(name)]));
    const used = new Set([...places.values()].map(({ name }) => prefix + name));
    const other = [...tensors.keys()].find(
      (name) => name.startsWith(prefix) && !used.has(name) && !isUnused(name.slice(prefix.length)),
    );
    if (other !== undefined)
      throw new UserError(`${file} holds "${other.slice(0, 120)}", which such a model has no place for; it can't be run as it is meant`); // prettier-ignore
    const find: DiffusionSource['find'] = (name) => {
      const place = places.get(name);
      const entry = place && tensors.get(prefix + place.name);
      if (!entry) return undefined;
      return {
        ...{ shown: entry.name, shape: shapeOf(entry.shape, place) },
        read: async () => partOf(await readFloats(reader, entry), entry.shape, place),
        place: place.turned
          ? undefined
          : {
              path: file,
              offset: entry.offset + ((place.third ?? 0) * entry.byteLength) / 3,
              type: entry.dtype.toLowerCase(),
            },
      };
    };
    const infos = names.flatMap((name): TensorInfo[] => {
      const found = find(name);
      const entry = tensors.get(prefix + places.get(name)!.name);
      if (!found || !entry) return [];
      const share = places.get(name)!.third === undefined ? 1 : 3;
      return [{ name, shape: found.shape, type: entry.dtype.toLowerCase(), byteLength: entry.byteLength / share }];
    });
    return { place: file, files: [file], byteLength: reader.byteLength, infos, find, close: () => reader.close() };
  } catch (error) {
    await reader.close();
    throw error;
  }
}

function shapeOf(shape: number[], { third, turned }: PlaceInFile): number[] {
  if (turned) return shape.toReversed();
  return third === undefined ? shape : [shape[0]! / 3, ...shape.slice(1)];
}

function partOf(values: Float32Array, shape: number[], { third, turned }: PlaceInFile): Float32Array {
  if (third !== undefined) return values.subarray((third * values.length) / 3, ((third + 1) * values.length) / 3);
  if (!turned) return values;
  const [rows, columns] = shape as [number, number];
  return values.map((_, i) => values[(i % rows) * columns + Math.floor(i / rows)]!);
}
