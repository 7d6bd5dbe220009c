import { mergedWeight } from '../../effilora/exports/merged-weight.ts';
import { UserError } from '../../engine/types.ts';
import type { DiffusionFile, PartName } from '../../models/diffusion/pipeline/file.ts';
import type { DiffusionEntry } from '../../models/diffusion/source.ts';
import { FileReader } from '../../models/file-reader.ts';
import { bfloatsToFloats, bytesToFloats, halvesToFloats } from '../../models/floats.ts';
import { quantize } from '../../models/gguf/quantize.ts';
import { DTYPE_BYTES, readSafetensorsHeader, type Dtype, type SafetensorsEntry } from '../../models/safetensors.ts';
import { writeSafetensors } from '../../models/safetensors-write.ts';
import type { LoraPair } from './pairs.ts';

/** Numbers that a pair is worked into: a tensor, or of one that holds q, k and v a third. */
export interface Change {
  pair: LoraPair;
  /** in bytes, from the file's start */
  offset: number;
  /** numbers */
  size: number;
}

/** The number types of weights that can be merged, with the largest number each has. */
const READS = {
  F32: { floats: bytesToFloats, type: 'f32', most: 3.4e38 },
  F16: { floats: halvesToFloats, type: 'f16', most: 65504 },
  BF16: { floats: bfloatsToFloats, type: 'bf16', most: 3.3e38 },
} as const;

/** What those pairs that are of a part change, by the file it lies in. @throws UserError for a weight that isn't there */
export async function changesOf(
  file: DiffusionFile,
  part: PartName,
  pairs: LoraPair[],
): Promise<Map<string, Change[]>> {
  const source = await file.source(part);
  try {
    const changes = new Map<string, Change[]>(source.files.map((place) => [place, []]));
    for (const pair of pairs.filter(({ place }) => place.group === part)) {
      const { place, size } = placeOf(source.find(`${pair.place.path}.weight`), pair, source.place);
      changes.get(place.path)!.push({ pair, offset: place.offset, size });
    }
    return changes;
  } finally {
    await source.close();
  }
}

/** How many numbers a tensor has. */
export const sizeOf = (shape: number[]): number => shape.reduce((product, side) => product * side, 1);

function placeOf(
  entry: DiffusionEntry | undefined,
  { place: { path, inFeatures, outFeatures } }: LoraPair,
  where: string,
) {
  const size = inFeatures * outFeatures;
  if (entry?.place && sizeOf(entry.shape) === size) return { place: entry.place, size };
  throw new UserError(`${where} has no "${path}.weight" of ${outFeatures} x ${inFeatures} numbers, which the adapter is for`); // prettier-ignore
}

/** Values of a weight with a pair worked in. */
export const withPair = (values: Float32Array, { a, b, rank, alpha, magnitude }: LoraPair): Promise<Float32Array> =>
  mergedWeight(values, { a, b, rank, scale: alpha / rank, magnitude });

/** Bytes of a number type. @throws UserError where a value has no place in it */
export function bytesOf(values: Float32Array, dtype: Dtype, name: string): Uint8Array {
  const { type, most } = readable(dtype, name);
  if (!areWithin(values, most))
    throw new UserError(`${name} would hold numbers that ${dtype} has no place for; was the adapter's run a good one?`);
  return quantize(values, type);
}

/** Without a call for each number, which takes six times as long. A NaN is no number that this is smaller than, either. */
function areWithin(values: Float32Array, most: number): boolean {
  for (let i = 0; i < values.length; i++) if (!(Math.abs(values[i]!) <= most)) return false;
  return true;
}

function readable(dtype: Dtype, name: string): (typeof READS)[keyof typeof READS] {
  if (dtype in READS) return READS[dtype as keyof typeof READS];
  throw new UserError(`${name} is of type ${dtype}; F32, F16 and BF16 can be merged into`);
}

/**
 * Writes a file of weights anew, tensor by tensor, as it was but for what changes: names, order, types and the header's own words.
 * @param leaves what is left out
 * @param onTensor is called after each of so many
 */
export async function rewrite(
  from: string,
  to: string,
  changes: Change[],
  { onTensor, leaves = () => false }: { onTensor: () => void; leaves?: (name: string) => boolean },
): Promise<void> {
  const reader = await FileReader.open(from);
  try {
    const { tensors, metadata } = await readSafetensorsHeader(reader);
    const written = [...tensors.values()].filter(({ name }) => !leaves(name));
    await writeSafetensors(
      to,
      written.map((entry) => ({ ...entry, bytes: () => changedBytes(reader, entry, changes) })),
      withoutHashes(metadata),
      onTensor,
    );
  } finally {
    await reader.close();
  }
}

async function changedBytes(reader: FileReader, entry: SafetensorsEntry, changes: Change[]): Promise<Uint8Array> {
  const { name, dtype, offset, byteLength } = entry;
  const bytes = await reader.read(offset, byteLength);
  for (const change of changes) {
    const start = change.offset - offset;
    if (start < 0 || start >= byteLength) continue;
    const own = bytes.slice(start, start + change.size * DTYPE_BYTES[dtype]);
    bytes.set(bytesOf(await withPair(readable(dtype, name).floats(own), change.pair), dtype, name), start);
  }
  return bytes;
}

/** Of other numbers they would be wrong. */
const withoutHashes = (metadata: Record<string, string>) =>
  Object.fromEntries(Object.entries(metadata).filter(([name]) => !/hash/i.test(name)));

/** How many tensors the files hold. */
export async function countTensors(files: string[]): Promise<number> {
  let count = 0;
  for (const file of files) {
    const reader = await FileReader.open(file);
    count += (await readSafetensorsHeader(reader).finally(() => reader.close())).tensors.size;
  }
  return count;
}
