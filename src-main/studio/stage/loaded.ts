import crypto from 'node:crypto';
import { readFile, stat } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Adapter } from '../../effilora/adapter.ts';
import type { AdapterDescription } from '../../effilora/adapter-schema.ts';
import { droppedHeads } from '../../effilora/adapter-file.ts';
import { openEngine } from '../../engine/index.ts';
import { UserError } from '../../engine/types.ts';
import { askedPrompt, loadConversant, seePicture } from '../../models/conversant.ts';
import type { AskedPrompt, Asking, Conversant, SeenPicture } from '../../models/conversant.ts';
import { changesSeeing } from '../../models/vision/vision-language.ts';
import { heldBy } from '../../trainer/held.ts';
import { openTextModel, resolveModel } from '../../models/open.ts';
import type { ModelFile } from '../../models/types.ts';
import { adapterOnModel, readAdapter } from '../../trainer/adapter-folder.ts';
import { emptyPainter } from './loaded-painter.ts';
import type { Act, Off, OnModel, PictureOnStage, SeenConversation } from './types.ts';

/** So many adapters stay on the engine: going back to one of them takes no reading. */
const KEPT_ADAPTERS = 6;
/** So many pictures need not be looked at again: of a large one some MiB are kept, and seeing it takes longer than answering. */
const KEPT_PICTURES = 16;

export interface AdapterOnStage {
  adapter: Adapter;
  /** tells it and the heads it leaves out from others */
  key: string;
  description: AdapterDescription;
}

/** A base model on the engine, and the adapters used last. */
export class LoadedModel {
  private readonly adapters = new Map<string, AdapterOnStage>();
  /** pictures by what they hold, those asked about last */
  private readonly seen = new Map<string, SeenPicture>();

  private constructor(
    readonly key: string,
    readonly file: ModelFile,
    readonly model: Conversant,
  ) {}

  static async open({ model: reference, engine }: OnModel, log: (line: string) => void): Promise<LoadedModel> {
    const file = await openTextModel(await resolveModel(reference, log), log);
    try {
      await openEngine(engine, heldBy(file));
      log(`Loading ${file.name}`);
      return new LoadedModel(keyOf({ model: reference, engine }), file, await loadConversant(file));
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * An adapter on this model, with heads left out besides its own. `copy` tells apart several of the same in one job, as each
   * leaves other heads out.
   */
  async adapter(folder: string, off?: Off, copy = 0): Promise<AdapterOnStage> {
    const { mtimeMs } = await stat(join(folder, 'adapter.safetensors'));
    const key = `${folder}:${mtimeMs}:${copy}`;
    const found = this.adapters.get(key) ?? (await this.read(folder, key));
    this.adapters.delete(key);
    this.adapters.set(key, found);
    for (const [old, { adapter }] of this.adapters) {
      if (this.adapters.size <= KEPT_ADAPTERS) break;
      this.adapters.delete(old);
      adapter.dispose();
    }
    const { adapter, description } = found;
    const heads = new Set([...droppedHeads(description), ...(off?.heads ?? [])]);
    adapter.drop({ heads, renormalize: off?.renormalize ?? description.renormalize });
    return { ...found, key: `${key}:${JSON.stringify(off ?? null)}` };
  }

  /** A prompt whose pictures are looked at once, however many columns and questions are about them; once more where an adapter sees otherwise. */
  async asked(
    { tokenizer, template }: Pick<Asking, 'tokenizer' | 'template'>,
    { pictures = [], messages, tools, documents }: SeenConversation,
    { tell, signal }: Act<{ kind: 'loading'; what: string }>,
    on?: AdapterOnStage,
  ): Promise<AskedPrompt> {
    const given = [];
    for (const picture of pictures) given.push({ name: picture.name, bytes: await bytesOf(picture) });
    const asking = { tokenizer, template, messages, tools, documents, pictures: given };
    const eyes = changesSeeing(on?.adapter) ? on!.key : '';
    const see: typeof seePicture = async (picture, processor, model, adaptation) => {
      const key = `${crypto.createHash('sha256').update(picture.bytes).digest('hex')}:${eyes}`;
      const known = this.seen.get(key);
      this.seen.delete(key);
      if (!known) {
        signal.throwIfAborted();
        tell({ kind: 'loading', what: `Looking at ${picture.name}` });
      }
      const seen = known ?? (await seePicture(picture, processor, model, adaptation));
      this.seen.set(key, seen);
      if (this.seen.size > KEPT_PICTURES) this.seen.delete(this.seen.keys().next().value!);
      return seen;
    };
    return askedPrompt(this.file, this.model, asking, { see, adaptation: on?.adapter });
  }

  private async read(folder: string, key: string): Promise<AdapterOnStage> {
    const stored = await readAdapter(folder);
    return { key, description: stored.description, adapter: adapterOnModel(stored, this.model, basename(folder)) };
  }

  async close(): Promise<void> {
    for (const { adapter } of this.adapters.values()) adapter.dispose();
    this.model.dispose();
    await this.file.close();
  }
}

/** A picture's bytes. @throws UserError where its file has gone */
export async function bytesOf(picture: PictureOnStage): Promise<Uint8Array> {
  if ('bytes' in picture) return picture.bytes;
  return readFile(picture.path).catch(() => {
    throw new UserError(`The picture ${picture.name} is not there any more. Add it again.`);
  });
}

const keyOf = ({ model, engine }: OnModel) => `${engine}:${model}`;
let loaded: LoadedModel | undefined;

/** The model of a job: the one that is loaded, or a new one in its place. @throws UserError when it can't be opened */
export async function modelOnStage(
  wanted: OnModel,
  tell: (event: { kind: 'loading'; what: string }) => void,
): Promise<LoadedModel> {
  if (loaded?.key === keyOf(wanted)) return loaded;
  await emptyStage();
  loaded = await LoadedModel.open(wanted, (what) => tell({ kind: 'loading', what }));
  return loaded;
}

/** Frees the model that is loaded. */
export async function emptyStage(): Promise<void> {
  await loaded?.close();
  loaded = undefined;
  await emptyPainter();
}
