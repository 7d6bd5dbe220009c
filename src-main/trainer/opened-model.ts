import type { Adapter } from '../effilora/adapter.ts';
import type { AdapterDescription } from '../effilora/adapter-schema.ts';
import { openEngine } from '../engine/index.ts';
import type { EngineName, EngineStatus } from '../engine/types.ts';
import { loadConversant, type Conversant } from '../models/conversant.ts';
import { openModelFile, openTextModel, resolveModel, type AnyModelFile } from '../models/open.ts';
import { isHashOf } from '../models/identity.ts';
import type { ModelFile } from '../models/types.ts';
import { taskOf } from '../tasks/registry.ts';
import type { TrainableModel } from '../tasks/task.ts';
import { adapterOnModel, readAdapter } from './adapter-folder.ts';
import { heldBy } from './held.ts';
import type { StoredAdapter } from './stored-adapter.ts';

/** A base model on an engine, with an adapter or without. */
export interface OpenedModel {
  engine: EngineStatus;
  file: ModelFile;
  model: Conversant;
  adapter?: Adapter;
  /** frees everything on the engine and closes the file */
  close(): Promise<void>;
}

export interface ModelToOpen {
  /** a path or a packaged model's name */
  model: string;
  /** a run, an adapter folder, its adapter.safetensors or a PEFT folder */
  adapter?: string;
  engine?: EngineName | 'auto';
}

/** Opens a model to be run. @throws UserError when one of them is not there, damaged, or does not fit */
export const openForRunning = (asked: ModelToOpen, log: (line: string) => void): Promise<OpenedModel> =>
  opened(asked, openTextModel, loadConversant, log);

/** A base model of any kind on an engine, with an adapter or without, to be measured. */
export interface OpenedForMeasuring extends Pick<OpenedModel, 'engine' | 'adapter' | 'close'> {
  file: AnyModelFile;
  model: TrainableModel;
  /** the recipe that the adapter was trained by */
  recipe?: AdapterDescription['recipe'];
}

/** Opens a model to be measured. @throws UserError as `openForRunning` does */
export const openForMeasuring = (asked: ModelToOpen, log: (line: string) => void): Promise<OpenedForMeasuring> =>
  opened(asked, openModelFile, (file) => taskOf(file).load(file), log);

async function opened<File extends AnyModelFile, Model extends TrainableModel>(
  { model: reference, adapter: place, engine: choice = 'auto' }: ModelToOpen,
  open: (place: string, log: (line: string) => void) => Promise<File>,
  load: (file: File) => Promise<Model>,
  log: (line: string) => void,
) {
  const stored = place === undefined ? undefined : await readAdapter(place);
  const file = await open(await resolveModel(reference, log), log);
  try {
    const engine = await openEngine(choice, heldBy(file));
    const model = await load(file);
    const adapter = stored && adapterOnModel(stored, model, place!);
    if (stored) await warnOfAnotherBase(stored, file, log);
    const close = async () => {
      adapter?.dispose();
      model.dispose();
      await file.close();
    };
    return { engine, file, model, adapter, recipe: stored?.description.recipe, close };
  } catch (error) {
    await file.close();
    throw error;
  }
}

/** The same shapes are no proof of the same model; another file of the same model (another quantization) is welcome. */
async function warnOfAnotherBase({ description }: StoredAdapter, file: AnyModelFile, log: (line: string) => void) {
  const { name, sha256 } = description.baseModel;
  if (/^0*$/.test(sha256) || (await isHashOf(sha256, file))) return;
  log(
    `The adapter was trained on another file (${name}) than ${file.name}: on another model its answers are worthless.`,
  );
}
