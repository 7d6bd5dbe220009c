import fs from 'node:fs/promises';
import path from 'node:path';
import { UserError } from '../../engine/types.ts';
import { readJsonFile } from '../../models/json-file.ts';
import type { DiffusionFile, PartName } from '../../models/diffusion/pipeline/file.ts';
import { MODEL_INDEX, MOST_CONFIG_BYTES } from '../../models/diffusion/pipeline/open-folder.ts';
import { isCheckpoint } from './checkpoint-fit.ts';
import { changesOf, countTensors, rewrite, type Change } from './merged-tensors.ts';
import type { LoraPair } from './pairs.ts';
import { COMPONENTS } from './places.ts';

/** What goes along beside the parts. */
const LICENCES = /^(licen[cs]e|notice|copying|use_policy)/i;
/** Weights in any form: of an adapted part only those that are merged into are written. */
const WEIGHTS = /\.(safetensors|bin|ckpt|pt|pth|msgpack|h5|onnx|onnx_data|pb|gguf)$|\.index(\.\w+)?\.json$/i;

/**
 * Writes a diffusers folder as the base model's is, with the pairs worked into the parts that they are of: the same files, names and number
 * types. Memory holds one tensor at a time.
 * @param onTensor is told how many of the adapted parts' tensors are written
 * @returns what the user should know, a sentence each
 * @throws UserError where the base model lies in one file, or a weight can't be merged into
 */
export async function writeMergedFolder(
  folder: string,
  base: DiffusionFile,
  pairs: LoraPair[],
  onTensor: (done: number, total: number) => void,
): Promise<string[]> {
  const index = await readJsonFile(path.join(base.path, MODEL_INDEX), MOST_CONFIG_BYTES);
  const parts = await adaptedParts(base, pairs);
  const total = await countTensors(parts.flatMap(({ changes }) => [...changes.keys()]));
  let done = 0;
  const notes: string[] = [];
  for (const entry of await fs.readdir(base.path, { withFileTypes: true })) {
    const [from, to] = [path.join(base.path, entry.name), path.join(folder, entry.name)];
    const isPart = isNamed(index, entry.name) && (await fs.stat(from)).isDirectory();
    const adapted = isPart && parts.find(({ component }) => component === entry.name);
    if (adapted) notes.push(...(await writePart(from, to, adapted.changes, () => onTensor(++done, total))));
    // Of a cache the files are links.
    else if (isPart || entry.name === MODEL_INDEX || LICENCES.test(entry.name))
      await fs.cp(from, to, { recursive: true, dereference: true });
  }
  return notes;
}

interface AdaptedPart {
  component: string;
  changes: Map<string, Change[]>;
}

async function adaptedParts(base: DiffusionFile, pairs: LoraPair[]): Promise<AdaptedPart[]> {
  const parts: AdaptedPart[] = [];
  for (const [part, component] of Object.entries(COMPONENTS))
    if (pairs.some(({ place }) => place.group === part))
      parts.push({ component, changes: await changesOf(base, part as PartName, pairs) });
  return parts;
}

const isNamed = (index: unknown, name: string) =>
  typeof index === 'object' && index !== null && Object.hasOwn(index, name);

/** A part's folder with its weights changed; what is beside them goes along, but for the same weights in other forms. */
async function writePart(
  from: string,
  to: string,
  changes: Map<string, Change[]>,
  onTensor: () => void,
): Promise<string[]> {
  await fs.mkdir(to);
  const shards = new Set([...changes.keys()].map((file) => path.basename(file)));
  const left: string[] = [];
  for (const name of await fs.readdir(from)) {
    const place = path.join(from, name);
    if (shards.has(name)) continue;
    if (!WEIGHTS.test(name) || (await isIndexOf(place, shards)))
      await fs.cp(place, path.join(to, name), { recursive: true, dereference: true });
    else left.push(name);
  }
  for (const [file, own] of changes) await rewrite(file, path.join(to, path.basename(file)), own, { onTensor });
  if (left.length === 0) return [];
  return [
    `Of ${path.basename(from)} the base model has weights in other forms, too (${left.join(', ')}), which are left out: they would be the model as it was.`,
  ];
}

/** Whether a file says which of these shards holds what. */
async function isIndexOf(file: string, shards: ReadonlySet<string>): Promise<boolean> {
  if (!file.endsWith('.json')) return false;
  const { weight_map: map } = ((await readJsonFile(file, MOST_CONFIG_BYTES)) ?? {}) as {
    weight_map?: Record<string, string>;
  };
  return map !== undefined && Object.values(map).every((name) => shards.has(name));
}

/** @throws UserError where the base model is no folder to be written anew */
export function checkFolder(base: Pick<DiffusionFile, 'path' | 'name'>): void {
  if (isCheckpoint(base))
    throw new UserError(`${base.name} was opened from one file, and a folder has to say more than that does; take merged-checkpoint, which writes one file again`); // prettier-ignore
}
