import { constants } from 'node:fs';
import { copyFile, mkdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import type { AdapterHead } from '../../../src-preload/contract/index.ts';
import { parseAdapterDescription } from '../../effilora/adapter-schema.ts';
import type { AdapterDescription } from '../../effilora/adapter-schema.ts';
import { readHeadName, readSiteTensor, siteName } from '../../effilora/names.ts';
import { sha256OfFile } from '../../engine/python-wheel.ts';
import { UserError } from '../../engine/types.ts';
import { FileReader } from '../../models/file-reader.ts';
import { readSafetensorsHeader } from '../../models/safetensors.ts';
import { ADAPTER_FILES, belongTogether, readPair } from '../../trainer/adapter-pair.ts';
import { syncFile, syncFolder } from '../../trainer/atomic.ts';

const BYTES_A_NUMBER = 4;

/** What the library shows of an adapter without opening its files again. */
export interface AdapterFacts {
  method: string;
  model: string;
  /** what opens the base model: a path or a name; empty where it isn't known */
  modelReference: string;
  modelSha256: string;
  dataset: string;
  rank: number;
  heads: number;
  droppedHeads: number;
  bytes: number;
  evalLoss: number | null;
  /** SHA-256 by file name */
  hashes: Record<string, string>;
}

/**
 * Reads what the library keeps of the adapter in `folder`.
 * @throws UserError when its description is missing or damaged
 */
export async function adapterFacts(folder: string, modelReference?: string): Promise<AdapterFacts> {
  const { method, baseModel, datasets, recipe, metrics, heads } = await describedIn(folder);
  const sizes = await Promise.all(ADAPTER_FILES.map((name) => stat(join(folder, name)).then(({ size }) => size)));
  const named = typeof recipe['model'] === 'string' ? recipe['model'] : '';
  return {
    method: method.name,
    model: baseModel.name,
    modelReference: modelReference ?? named,
    modelSha256: baseModel.sha256,
    dataset: datasets.map(({ name }) => name).join(' + '),
    rank: method.rank,
    heads: Object.keys(heads).length,
    droppedHeads: Object.values(heads).filter(({ dropped }) => dropped).length,
    bytes: sizes.reduce((sum, size) => sum + size, 0),
    evalLoss: metrics['evalLoss'] ?? null,
    hashes: await hashesIn(folder),
  };
}

/** adapter.json of a folder, checked. @throws UserError */
export async function describedIn(folder: string): Promise<AdapterDescription> {
  const path = join(folder, 'adapter.json');
  const text = await readFile(path, 'utf8').catch(() => {
    throw new UserError(`${path} isn't there any more (moved, or on a disk that isn't mounted). Put it back.`);
  });
  return parseAdapterDescription(text, path);
}

/** SHA-256 of an adapter's files, read afresh; a file that is gone has none. */
export async function hashesIn(folder: string): Promise<Record<string, string>> {
  const hashes: Record<string, string> = {};
  for (const name of ADAPTER_FILES) {
    const hash = await sha256OfFile(join(folder, name)).catch(() => undefined);
    if (hash) hashes[name] = hash;
  }
  return hashes;
}

/** The heads of an adapter with what leaving each out saves. */
export async function headsOf(folder: string, description: AdapterDescription): Promise<AdapterHead[]> {
  const outFeatures = await outFeaturesIn(folder);
  return Object.entries(description.heads).map(([name, head]) => {
    const numbers = (outFeatures.get(siteName(readHeadName(name)!)) ?? 0) * description.method.rank;
    return { name, ...head, bytes: head.dropped ? 0 : numbers * BYTES_A_NUMBER };
  });
}

/** Output width of each site `<layer>.<site>`, from the shapes of its B [N, out, r]. */
async function outFeaturesIn(folder: string): Promise<Map<string, number>> {
  const reader = await FileReader.open(join(folder, 'adapter.safetensors'));
  try {
    const { tensors } = await readSafetensorsHeader(reader);
    const widths = new Map<string, number>();
    for (const { name, shape } of tensors.values()) {
      const tensor = readSiteTensor(name);
      if (tensor?.part === 'B') widths.set(siteName(tensor), shape[1]!);
    }
    return widths;
  } finally {
    await reader.close();
  }
}

/**
 * Copies an adapter's two files into a new folder, whole or not at all; `to` is replaced. `aside`: where it grows until it is whole.
 * @throws UserError when they are not of one writing
 */
export async function copyAdapter(from: string, to: string, aside = `${to}.partial`): Promise<void> {
  try {
    await rm(aside, { recursive: true, force: true });
    await mkdir(aside, { recursive: true });
    const isWhole = await readPair(join(from, 'adapter.safetensors'), async () => {
      for (const name of ADAPTER_FILES) await copyFile(join(from, name), join(aside, name), constants.COPYFILE_FICLONE);
      const { tensorsSha256 } = await describedIn(aside);
      return (await belongTogether(join(aside, 'adapter.safetensors'), tensorsSha256)) || undefined;
    });
    if (!isWhole)
      throw new UserError(
        `The two files of the adapter in ${from} don't belong together. Put both back from one place.`,
      );
    for (const name of ADAPTER_FILES) await syncFile(join(aside, name));
    await syncFolder(aside);
    await rm(to, { recursive: true, force: true });
    await rename(aside, to);
    await syncFolder(dirname(to));
  } catch (error) {
    await rm(aside, { recursive: true, force: true });
    throw error;
  }
}
