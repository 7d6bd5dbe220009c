import { basename } from 'node:path';
import { stringify } from 'yaml';
import { droppedHeads } from '../../effilora/adapter-file.ts';
import type { Adapter } from '../../effilora/adapter.ts';
import { openEngine } from '../../engine/index.ts';
import { UserError } from '../../engine/types.ts';
import type { DiffusionModelFile } from '../../models/diffusion/model-file.ts';
import { DiffusionModel } from '../../models/diffusion/pipeline/model.ts';
import type { Vae } from '../../models/diffusion/vae/vae.ts';
import { openModelFile, resolveModel } from '../../models/open.ts';
import type { DiffusionTraining } from '../../recipe/diffusion.ts';
import { parseRecipe } from '../../recipe/recipe.ts';
import { adapterOnModel, readAdapter } from '../../trainer/adapter-folder.ts';
import { completeFor } from '../../trainer/complete-for.ts';
import { heldBy } from '../../trainer/held.ts';
import type { Off, OnModel } from './types.ts';

type Sampling = DiffusionTraining['sampling'];

/** A base model that makes pictures, on the engine. */
export class LoadedPainter {
  private constructor(
    readonly key: string,
    readonly file: DiffusionModelFile,
    readonly model: DiffusionModel,
    readonly vae: Vae,
  ) {}

  static async open({ model: reference, engine }: OnModel, log: (line: string) => void): Promise<LoadedPainter> {
    const file = await openModelFile(await resolveModel(reference, log), log);
    try {
      if (file.makes !== 'pictures') throw new UserError(`${file.name} writes texts and makes no pictures, which is needed here; choose another model`); // prettier-ignore
      await openEngine(engine, heldBy(file));
      log(`Loading ${file.name}`);
      const model = await DiffusionModel.load(file.diffusion);
      return new LoadedPainter(keyOf({ model: reference, engine }), file, model, await model.vae());
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /** An adapter on this model, with heads left out besides its own; the caller disposes it. @throws UserError */
  async adapter(folder: string, off?: Off): Promise<Adapter> {
    const stored = await readAdapter(folder);
    const adapter = adapterOnModel(stored, this.model, basename(folder));
    const heads = new Set([...droppedHeads(stored.description), ...(off?.heads ?? [])]);
    adapter.drop({ heads, renormalize: off?.renormalize ?? stored.description.renormalize });
    return adapter;
  }

  /** What of a picture is not said, as it is usual for this model. @throws UserError for what it can't do */
  completed(asked: Partial<Sampling>): Required<Omit<Sampling, 'prompts'>> {
    const told = { model: 'm', dataset: 'd', training: { steps: 1, diffusion: { sampling: asked } } };
    try {
      const recipe = parseRecipe(stringify(told), 'What was asked');
      completeFor(recipe, this.file);
      return recipe.training.diffusion!.sampling as Required<Omit<Sampling, 'prompts'>>;
    } catch (error) {
      if (!(error instanceof UserError)) throw error;
      throw new UserError(error.message.replace(/^What was asked(, line \d+)?: /, '').replace('training.diffusion.sampling.', '')); // prettier-ignore
    }
  }

  async close(): Promise<void> {
    this.vae.dispose();
    this.model.dispose();
    await this.file.close();
  }
}

const keyOf = ({ model, engine }: OnModel) => `${engine}:${model}`;
let loaded: LoadedPainter | undefined;

/** The model of a job: the one that is loaded, or a new one in its place. @param makeRoom frees another kind of model */
export async function painterOnStage(
  wanted: OnModel,
  tell: (event: { kind: 'loading'; what: string }) => void,
  makeRoom: () => Promise<void>,
): Promise<LoadedPainter> {
  if (loaded?.key === keyOf(wanted)) return loaded;
  await emptyPainter();
  await makeRoom();
  loaded = await LoadedPainter.open(wanted, (what) => tell({ kind: 'loading', what }));
  return loaded;
}

/** Frees the model that is loaded. */
export async function emptyPainter(): Promise<void> {
  await loaded?.close();
  loaded = undefined;
}
