import type { MatrixSource } from '../../engine/packed.ts';
import { openTensors } from '../huggingface-weights.ts';
import { readFloats } from '../safetensors.ts';
import type { TensorInfo } from '../types.ts';

/** A tensor of one part of a diffusion model. */
export interface DiffusionEntry {
  /** its name in the file */
  shown: string;
  shape: number[];
  read(): Promise<Float32Array>;
  /** where it lies as it is, and its type there */
  place?: Pick<MatrixSource, 'path' | 'offset'> & { type: string };
}

/** Where a part's tensors are read from, by the names that diffusers and transformers have for them. */
export interface DiffusionSource {
  /** a folder or a file, for what is said of it */
  place: string;
  files: string[];
  byteLength: number;
  infos: TensorInfo[];
  find(name: string): DiffusionEntry | undefined;
  close(): Promise<void>;
}

/** What a part's weights are called in a folder of its own: by diffusers, by transformers, and both in half precision. */
const STEMS = ['diffusion_pytorch_model', 'model', 'diffusion_pytorch_model.fp16', 'model.fp16'];

/**
 * Opens a part's folder.
 * @param nameOf a tensor's name as it is now where the file is of an older form; undefined: it is not used
 * @throws UserError when its files are missing or damaged
 */
export async function openPart(
  folder: string,
  nameOf: (name: string) => string | undefined = (name) => name,
): Promise<DiffusionSource> {
  const { entries, paths, byteLength, close } = await openTensors(folder, ({ name }) => nameOf(name), STEMS);
  return {
    ...{ place: folder, files: paths, byteLength, close },
    infos: [...entries].map(
      ([
        name,
        {
          entry: { shape, dtype, byteLength: bytes },
        },
      ]) => ({
        ...{ name, shape, type: dtype.toLowerCase(), byteLength: bytes },
      }),
    ),
    find(name) {
      const found = entries.get(name);
      if (!found) return undefined;
      const { reader, entry } = found;
      const place = { path: reader.path, offset: entry.offset, type: entry.dtype.toLowerCase() };
      return { shown: entry.name, shape: entry.shape, read: () => readFloats(reader, entry), place };
    },
  };
}
