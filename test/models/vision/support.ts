import { FileReader } from '../../../src-main/models/file-reader.ts';
import { readFloats, readSafetensorsHeader } from '../../../src-main/models/safetensors.ts';

/** A safetensors file's tensors. */
export async function readAll(file: string) {
  const reader = await FileReader.open(file);
  const { tensors } = await readSafetensorsHeader(reader);
  const all = new Map<string, { shape: number[]; values: Float32Array }>();
  for (const [name, entry] of tensors) all.set(name, { shape: entry.shape, values: await readFloats(reader, entry) });
  await reader.close();
  return all;
}

/** [..., 3, 16, 16] as patches of 4 x 4; Qwen's are patches already. */
export function patchesOf({ shape, values }: { shape: number[]; values: Float32Array }): Float32Array {
  if (shape.length === 2) return values;
  const placeOf = (patch: number, inside: number) => {
    const [picture, y, x] = [Math.floor(patch / 16), Math.floor(patch / 4) % 4, patch % 4];
    const [channel, row, column] = [Math.floor(inside / 16), Math.floor(inside / 4) % 4, inside % 4];
    return ((picture * 3 + channel) * 16 + y * 4 + row) * 16 + x * 4 + column;
  };
  return values.map((_, i) => values[placeOf(Math.floor(i / 48), i % 48)]!);
}
