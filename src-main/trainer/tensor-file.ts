import type { NamedTensor } from '../effilora/types.ts';
import { FileReader } from '../models/file-reader.ts';
import { readFloats, readSafetensorsHeader } from '../models/safetensors.ts';

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
