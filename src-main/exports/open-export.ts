import { droppedHeads } from '../effilora/adapter-file.ts';
import type { Adapter } from '../effilora/adapter.ts';
import { openEngine } from '../engine/index.ts';
import { UserError } from '../engine/types.ts';
import { loadConversant } from '../models/conversant.ts';
import { isHashOf } from '../models/identity.ts';
import { openModelFile, openTextModel, resolveModel, type AnyModelFile } from '../models/open.ts';
import type { BaseModelFile, ModelFile } from '../models/types.ts';
import { adapterOnModel, readAdapter } from '../trainer/adapter-folder.ts';
import { heldBy } from '../trainer/held.ts';
import { headsToDrop, withoutHeads } from '../trainer/drop.ts';
import type { OpenedModel } from '../trainer/opened-model.ts';
import type { StoredAdapter } from '../trainer/stored-adapter.ts';
import type { ExportRequest } from './request.ts';

/** An adapter on its base model, on the engine. */
export interface OpenedExport extends OpenedModel {
  stored: StoredAdapter;
  adapter: Adapter;
  /** frees the base model's weights before something else needs the room */
  freeModel(): void;
}

/** SHA-256 of an imported adapter whose base model is not known. */
const UNKNOWN = '0'.repeat(64);

/** Reads the adapter, without the share of its heads that is to be left out. @throws UserError */
export async function readForExport({
  adapter,
  drop,
}: Pick<ExportRequest, 'adapter' | 'drop'>): Promise<StoredAdapter> {
  const stored = await readAdapter(adapter);
  if (!drop) return stored;
  const heads = headsToDrop(stored.description, drop);
  const result = withoutHeads(stored, heads, stored.description.renormalize);
  if (droppedHeads(result.description).size === Object.keys(result.description.heads).length)
    throw new UserError(`A drop of ${drop} leaves no head of the adapter; drop fewer`);
  return result;
}

/**
 * The base model of an adapter: the one given, which may be another file of the same model (another quantization), else the one
 * in its recipe.
 * @throws UserError when it is not there, or the recipe's file is not the one any more
 */
export const openBaseModel = (stored: StoredAdapter, given?: string): Promise<ModelFile> =>
  openBase((place) => openTextModel(place), stored, given);

/** Likewise of an adapter of a model of any kind. @throws UserError as `openBaseModel` does */
export const openAnyBaseModel = (stored: StoredAdapter, given?: string): Promise<AnyModelFile> =>
  openBase((place) => openModelFile(place), stored, given);

async function openBase<File extends BaseModelFile>(
  open: (place: string) => Promise<File>,
  { description }: StoredAdapter,
  given?: string,
): Promise<File> {
  const reference = given ?? (description.recipe as { model?: unknown }).model;
  if (typeof reference !== 'string')
    throw new UserError(
      `The adapter does not say where its base model (${description.baseModel.name}) lies; name it with --model`,
    );
  const file = await open(await resolveModel(reference));
  const { name, sha256 } = description.baseModel;
  if (given !== undefined || sha256 === UNKNOWN || (await isHashOf(sha256, file))) return file;
  await file.close();
  throw new UserError(
    `${file.path} is not the file the adapter was trained on (${name}, SHA-256 ${sha256.slice(0, 12)}…); name that one, or another of the same model, with --model`,
  );
}

/** Opens engine, model and adapter. The caller closes it. */
export async function openForExport(
  stored: StoredAdapter,
  file: ModelFile,
  request: ExportRequest,
): Promise<OpenedExport> {
  const engine = await openEngine(request.engine ?? 'auto', heldBy(file));
  const model = await loadConversant(file);
  try {
    const adapter = adapterOnModel(stored, model, request.adapter);
    let loaded = true;
    const freeModel = () => {
      if (loaded) model.dispose();
      loaded = false;
    };
    const close = async () => {
      adapter.dispose();
      freeModel();
      await file.close();
    };
    return { engine, stored, file, model, adapter, freeModel, close };
  } catch (error) {
    model.dispose();
    throw error;
  }
}
