import { droppedHeads } from '../effilora/adapter-file.ts';
import { lowestHeads, withDroppedHeads } from '../effilora/exports/drop.ts';
import type { Adapter } from '../effilora/adapter.ts';
import { openEngine } from '../engine/index.ts';
import { UserError } from '../engine/types.ts';
import { loadCausalLM, type CausalLM } from '../models/causal-lm.ts';
import { openModelFile, resolveModel } from '../models/open.ts';
import type { ModelFile } from '../models/types.ts';
import { adapterOnModel, readAdapter } from '../trainer/adapter-folder.ts';
import type { StoredAdapter } from '../trainer/stored-adapter.ts';
import type { ExportRequest } from './request.ts';

/** An adapter on its base model, on the engine. */
export interface OpenedExport {
  stored: StoredAdapter;
  file: ModelFile;
  model: CausalLM;
  adapter: Adapter;
  close(): Promise<void>;
}

/** SHA-256 of an imported adapter whose base model is not known. */
const UNKNOWN = '0'.repeat(64);

/** Reads the adapter, drops the share of its heads that is asked for. @throws UserError */
export async function readForExport(request: Pick<ExportRequest, 'adapter' | 'drop'>): Promise<StoredAdapter> {
  const stored = await readAdapter(request.adapter);
  if (!request.drop) return stored;
  const description = withDroppedHeads(stored.description, lowestHeads(stored.description, request.drop));
  if (droppedHeads(description).size === Object.keys(description.heads).length)
    throw new UserError(`A drop of ${request.drop} leaves no head of the adapter; drop fewer`);
  return { ...stored, description };
}

/** The base model of an adapter: the one given, else the one in its recipe. @throws UserError when it is another model */
export async function openBaseModel({ description }: StoredAdapter, given?: string): Promise<ModelFile> {
  const reference = given ?? (description.recipe as { model?: unknown }).model;
  if (typeof reference !== 'string')
    throw new UserError(
      `The adapter does not say where its base model (${description.baseModel.name}) lies; name it with --model`,
    );
  const file = await openModelFile(await resolveModel(reference));
  const { name, sha256 } = description.baseModel;
  if (sha256 === UNKNOWN || sha256 === (await file.sha256())) return file;
  await file.close();
  throw new UserError(
    `${file.path} is not the model the adapter was trained on (${name}, SHA-256 ${sha256.slice(0, 12)}…); give that one with --model`,
  );
}

/** Opens engine, model and adapter. The caller closes it. */
export async function openForExport(
  stored: StoredAdapter,
  file: ModelFile,
  request: ExportRequest,
): Promise<OpenedExport> {
  await openEngine(request.engine ?? 'auto');
  const model = await loadCausalLM(file);
  try {
    const adapter = adapterOnModel(stored, model, request.adapter);
    const close = async () => {
      adapter.dispose();
      model.dispose();
      await file.close();
    };
    return { stored, file, model, adapter, close };
  } catch (error) {
    model.dispose();
    await file.close();
    throw error;
  }
}
