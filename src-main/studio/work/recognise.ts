import { readdir, stat } from 'node:fs/promises';
import { basename } from 'node:path';
import type { FoundKind } from '../../../src-preload/contract/index.ts';
import { kindOf, needsTable, PICTURE_KINDS } from '../../../src-preload/contract/uploads.ts';
import { UserError } from '../../engine/types.ts';
import { FileReader } from '../../models/file-reader.ts';
import { readGgufHeader } from '../../models/gguf/header.ts';
import { readHeader } from '../../models/diffusion/single/file.ts';
import { ADAPTER_FILE, CHECKPOINT_FILE, DATASET_FILE, MODEL_FILE } from '../file-kinds.ts';

/**
 * What a file or folder is to the studio, by its name and the names in it; a GGUF file says itself whether it is an adapter.
 * @throws UserError where it is nothing of that, or damaged
 */
export async function recognise(path: string): Promise<FoundKind> {
  const found = await stat(path).catch(() => undefined);
  if (!found) throw new UserError(`${basename(path)} isn't there any more.`);
  const names = found.isDirectory() ? await readdir(path) : [];
  const kind = found.isDirectory() ? kindOfFolder(names) : await kindOfFile(path);
  if (kind) return kind;
  if (names.some((name) => PICTURE_KINDS.includes(kindOf(name)))) throw new UserError(needsTable(basename(path)));
  throw new UserError(
    `${basename(path)} is nothing the studio reads: rows (such as .xlsx, .csv or .jsonl), a model (.gguf, a checkpoint in one .safetensors, or a folder with config.json or model_index.json) or an adapter (.effilora, or a folder with adapter_config.json).`,
  );
}

async function kindOfFile(path: string): Promise<FoundKind | undefined> {
  if (DATASET_FILE.test(path)) return 'dataset';
  if (MODEL_FILE.test(path)) return (await isGgufAdapter(path)) ? 'adapter' : 'model';
  if (CHECKPOINT_FILE.test(path) && (await isCheckpoint(path))) return 'model';
  return ADAPTER_FILE.test(path) ? 'adapter' : undefined;
}

/** Weights without a word on them are read as an adapter's: what is missing is said there. */
function kindOfFolder(names: string[]): FoundKind | undefined {
  if (names.some((name) => name === 'adapter.json' || name === 'adapter_config.json')) return 'adapter';
  if (names.includes('config.json') || names.includes('model_index.json')) return 'model';
  if (names.some((name) => ADAPTER_FILE.test(name))) return 'adapter';
  return names.some((name) => DATASET_FILE.test(name)) ? 'dataset' : undefined;
}

/** A whole model in one file has the autoencoder among its parts; an adapter never does. Weights that can't be read say so when they are imported. */
async function isCheckpoint(path: string): Promise<boolean> {
  const header = await readHeader(path).catch(() => undefined);
  return header !== undefined && [...header.tensors.keys()].some((name) => name.startsWith('first_stage_model.'));
}

async function isGgufAdapter(path: string): Promise<boolean> {
  const reader = await FileReader.open(path);
  try {
    return (await readGgufHeader(reader)).metadata.get('general.type') === 'adapter';
  } finally {
    await reader.close();
  }
}
