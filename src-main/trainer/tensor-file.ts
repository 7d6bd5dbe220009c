import type { HeldTensor, NamedTensor } from '../effilora/types.ts';
import { FileReader } from '../models/file-reader.ts';
import { readFloats, readSafetensorsHeader } from '../models/safetensors.ts';
import type { TensorToWrite } from '../models/safetensors-write.ts';

/** Every tensor of a safetensors file as f32. @throws UserError */
export async function readNamedTensors(
  file: string,
): Promise<{ tensors: NamedTensor[]; metadata: Record<string, string> }> {
  const reader = await FileReader.open(file);
  try {
    const { tensors, metadata } = await readSafetensorsHeader(reader);
    // An adapter has hundreds of small tensors: asked for together they take a fraction of the time.
    const read = [...tensors.values()].map(async (entry): Promise<NamedTensor> => ({
      name: entry.name,
      shape: entry.shape,
      data: await readFloats(reader, entry),
    }));
    return { tensors: await Promise.all(read), metadata };
  } finally {
    await reader.close();
  }
}

/** A tensor on the engine as f32 of a safetensors file. */
export const heldBytes = ({ name, shape, read }: HeldTensor): TensorToWrite => ({
  name,
  dtype: 'F32',
  shape,
  bytes: async () => {
    const { buffer, byteOffset, byteLength } = await read();
    return new Uint8Array(buffer, byteOffset, byteLength);
  },
});

/** A tensor on the host as one whose turn to be written comes. */
export const asHeld = ({ name, shape, data }: NamedTensor): HeldTensor => ({
  name,
  shape,
  read: () => Promise.resolve(data),
});
