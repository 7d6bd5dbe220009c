import fs from 'node:fs';
import fsp from 'node:fs/promises';
import path from 'node:path';
import type { DatasetFacts } from '../data/dataset.ts';
import type { Adapter } from '../effilora/adapter.ts';
import { checkWholeTensors, describeHeads, openAdapter, withoutDropped } from '../effilora/adapter-file.ts';
import {
  formatAdapterDescription,
  parseAdapterDescription,
  type AdapterDescription,
} from '../effilora/adapter-schema.ts';
import type { Reducer } from '../effilora/reducer.ts';
import type { HeldTensor } from '../effilora/types.ts';
import { UserError } from '../engine/types.ts';
import { readJsonFile } from '../models/json-file.ts';
import { safetensorsPieces } from '../models/safetensors-write.ts';
import type { BaseModelFile } from '../models/types.ts';
import type { TrainableModel } from '../tasks/task.ts';
import { ADAPTER_FILES, belongTogether, readPair, settlePair, writePair } from './adapter-pair.ts';
import { isMlxConfig, readMlxFolder } from './mlx-folder.ts';
import { readPeftFolder } from './peft-folder.ts';
import { toWrite } from '../recipe/written.ts';
import type { Recipe } from '../recipe/recipe.ts';
import type { StoredAdapter } from './stored-adapter.ts';
import { asHeld, heldBytes, readNamedTensors } from './tensor-file.ts';

const [TENSORS, DESCRIPTION] = ADAPTER_FILES;
/** What PEFT and mlx-lm call their description. */
const FOREIGN = 'adapter_config.json';
const MOST_CONFIG_BYTES = 16 << 20;

/** What becomes adapter.safetensors and adapter.json. */
export interface AdapterToWrite {
  adapter: Adapter;
  reducer: Reducer;
  file: Pick<BaseModelFile, 'name' | 'sha256'>;
  /** of the model, by which it is known whether an adapter fits */
  architecture: string;
  blocks?: string[];
  datasets: DatasetFacts[];
  recipe: Recipe;
  metrics: Record<string, number | null>;
}

/** Writes an adapter's two files, whole and together or not at all. */
export async function writeAdapter(folder: string, parts: AdapterToWrite): Promise<void> {
  const { adapter } = parts;
  const { heads: dropped } = adapter.dropped;
  const tensors =
    dropped.size === 0 ? adapter.held : withoutDropped(await adapter.export(), adapter.options, dropped).map(asHeld);
  await writeFiles(folder, await describeAdapter(parts), tensors);
}

/** What becomes adapter.json. */
export async function describeAdapter(parts: AdapterToWrite): Promise<AdapterDescription> {
  const { adapter, reducer, file, architecture, blocks, datasets, recipe, metrics } = parts;
  const { heads: dropped, renormalize } = adapter.dropped;
  return {
    method: adapter.options,
    baseModel: { name: file.name, architecture, sha256: await file.sha256() },
    datasets: datasets.map(({ source, sha256, report }) => ({
      name: path.basename(source.path),
      sha256,
      examples: report.kept,
    })),
    recipe: { ...toWrite(recipe) },
    metrics,
    heads: describeHeads(reducer, dropped),
    ...(blocks && { blocks }),
    renormalize,
  };
}

/** Writes a stored adapter's two files, whole and together or not at all. */
export async function writeStoredAdapter(folder: string, { description, tensors }: StoredAdapter): Promise<void> {
  await writeFiles(folder, description, tensors.map(asHeld));
}

async function writeFiles(folder: string, description: AdapterDescription, tensors: HeldTensor[]): Promise<void> {
  await fsp.mkdir(folder, { recursive: true });
  await writePair(folder, safetensorsPieces(tensors.map(heldBytes), { format: 'pt' }), (tensorsSha256) =>
    formatAdapterDescription({ ...description, tensorsSha256 }),
  );
}

/**
 * Reads an adapter: a run or adapter folder, its adapter.safetensors, or a folder of PEFT or mlx-lm (LoRA, as method `lora`).
 * @throws UserError when it is none of these, damaged, or its two files are not of one writing
 */
export async function readAdapter(place: string): Promise<StoredAdapter> {
  const stat = fs.statSync(place, { throwIfNoEntry: false });
  if (!stat) throw new UserError(`The adapter "${place}" is not there; check the path`);
  const folder = stat.isDirectory() ? place : path.dirname(place);
  if (fs.existsSync(path.join(folder, FOREIGN))) return readForeign(folder);
  await settlePair(folder);
  const description = path.join(folder, DESCRIPTION);
  const tensors = stat.isDirectory() ? path.join(folder, TENSORS) : place;
  if (!fs.existsSync(description) || !fs.existsSync(tensors)) {
    const bare = ['adapter_model.safetensors', 'adapter_model.bin', 'adapters.safetensors'].find((name) =>
      fs.existsSync(path.join(folder, name)),
    );
    throw new UserError(
      bare
        ? `${folder} holds ${bare} without its ${FOREIGN}, which says how to read it; copy the whole folder`
        : `${place} holds no adapter; give a run's folder, one with ${TENSORS} and ${DESCRIPTION}, or a PEFT folder`,
    );
  }
  const stored = await readPair(tensors, async () => {
    const text = await fsp.readFile(description, 'utf8');
    const { tensorsSha256, ...described } = parseAdapterDescription(text, description);
    const read = (await readNamedTensors(tensors)).tensors;
    return (await belongTogether(tensors, tensorsSha256)) ? { description: described, tensors: read } : undefined;
  });
  if (!stored)
    throw new UserError(
      `${tensors} is not the file that ${description} was written with: one of them was replaced or damaged. Put both back from one place, or export the adapter again.`,
    );
  return stored;
}

async function readForeign(folder: string): Promise<StoredAdapter> {
  const json = await readJsonFile(path.join(folder, FOREIGN), MOST_CONFIG_BYTES);
  return isMlxConfig(json) ? readMlxFolder(folder, json) : readPeftFolder(folder, json);
}

/**
 * Puts a stored adapter on a model, heads that were dropped left out. The caller disposes it.
 * @throws UserError when it was made for another model
 */
export function adapterOnModel(
  { description, tensors }: StoredAdapter,
  model: Pick<TrainableModel, 'architecture' | 'sites' | 'wholeTensors'>,
  place: string,
): Adapter {
  const { architecture, name } = description.baseModel;
  if (!['unknown', model.architecture].includes(architecture))
    throw new UserError(
      `${place} does not fit this model: it was trained on ${name}, a ${architecture}, and this is a ${model.architecture}; open it on that model`,
    );
  checkWholeTensors(description, model.wholeTensors?.() ?? [], place);
  return openAdapter(description, tensors, model.sites(), place);
}
