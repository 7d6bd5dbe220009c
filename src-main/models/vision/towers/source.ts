import type { MatrixSource } from '../../../engine/packed.ts';
import { dequantize } from '../../gguf/dequantize.ts';
import { openTensors } from '../../huggingface-weights.ts';
import { readFloats } from '../../safetensors.ts';
import type { TensorInfo } from '../../types.ts';
import { openMmproj } from '../mmproj/header.ts';
import { fromMmproj, mmprojTensors } from '../mmproj/tensors.ts';
import { isUnused, visionName } from './names.ts';

/** A tensor that a model sees with, as a Hugging Face folder has it. */
interface SeeingEntry {
  /** its name in the file */
  shown: string;
  shape: number[];
  read(): Promise<Float32Array>;
  /** where it lies as it is, in a folder's file, and its type there */
  place?: Pick<MatrixSource, 'path' | 'offset'> & { type: string };
}

/** Where what a model sees with is read from: a Hugging Face folder, or an mmproj file. */
export interface SeeingSource {
  paths: string[];
  byteLength: number;
  infos: TensorInfo[];
  /** @param name of the one form that towers have here @param shape that is expected */
  find(name: string, shape: number[]): SeeingEntry | undefined;
  /** a tensor that none of these is made of, and that no features are made of either */
  other(names: ReadonlySet<string>, layers: number): string | undefined;
  close(): Promise<void>;
}

/** Whether a place is an mmproj file, and no folder. */
export const isMmproj = (place: string): boolean => /\.gguf$/i.test(place);

/** @throws UserError for a file that is missing or damaged */
export const openSeeingSource = (place: string): Promise<SeeingSource> =>
  isMmproj(place) ? mmprojSource(place) : folderSource(place);

async function folderSource(folder: string): Promise<SeeingSource> {
  const { entries, ...files } = await openTensors(folder, visionName);
  return {
    ...files,
    infos: [...entries].map(([name, { entry }]) => {
      const { shape, dtype, byteLength } = entry;
      return { name, shape, byteLength, type: dtype.toLowerCase() };
    }),
    find: (name) => {
      const found = entries.get(name);
      if (!found) return undefined;
      const { reader, entry } = found;
      return {
        ...{ shown: entry.name, shape: entry.shape, read: () => readFloats(reader, entry) },
        place: { path: reader.path, offset: entry.offset, type: entry.dtype.toLowerCase() },
      };
    },
    other: (names, layers) =>
      [...entries].find(([name]) => !names.has(name) && !isUnused(name, layers))?.[1].entry.name,
  };
}

async function mmprojSource(file: string): Promise<SeeingSource> {
  const { opened, config } = await openMmproj(file);
  const { tensors } = opened.header;
  const read = new Set<string>();
  return {
    ...{ paths: opened.paths, byteLength: opened.byteLength, close: opened.close },
    infos: [...tensors.values()].map(({ name, shape, type, byteLength }) => ({ name, shape, type, byteLength })),
    find(name, shape) {
      const parts = mmprojTensors(name, shape, config).map((part) => ({ part, found: tensors.get(part.name) }));
      if (parts.length === 0 || parts.some(({ found }) => !found)) return undefined;
      for (const { part } of parts) read.add(part.name);
      const unlike = parts.find(({ part, found }) => found!.shape.join() !== part.shape.join());
      return {
        shown: parts[0]!.part.name,
        shape: unlike ? unlike.found!.shape : shape,
        read: async () => {
          const values = [];
          for (const { found } of parts) values.push(dequantize(await opened.read(found!), found!.type));
          return fromMmproj(name, shape, values);
        },
      };
    },
    other: (_, layers) =>
      [...tensors.keys()].find((name) => {
        const isAbove = Number(/^v\.blk\.(\d+)\./.exec(name)?.[1] ?? -1) >= layers;
        return !read.has(name) && !isAbove && !(config.tower.kind === 'clip' && name.startsWith('v.post_ln.'));
      }),
  };
}
