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
    const read: NamedTensor[] = [];
    for (const entry of tensors.values())
      read.push({ name: entry.name, shape: entry.shape, data: await readFloats(reader, entry) });
    return { tensors: read, metadata };
  } finally {
    await reader.close();
  }
}
