import { basename } from 'node:path';
import { stringify } from 'yaml';
import type { Adapter } from '../../effilora/adapter.ts';
import { openEngine } from '../../engine/index.ts';
import { UserError } from '../../engine/types.ts';
import type { DiffusionModelFile } from '../../models/diffusion/model-file.ts';
import type { DiffusionModel } from '../../models/diffusion/pipeline/model.ts';
import type { Vae } from '../../models/diffusion/vae/vae.ts';
import { openModelFile, resolveModel } from '../../models/open.ts';
import type { DiffusionTraining } from '../../recipe/diffusion.ts';
import { parseRecipe } from '../../recipe/recipe.ts';
import { adapterOnModel, readAdapter } from '../../trainer/adapter-folder.ts';
import { completeFor } from '../../trainer/complete-for.ts';
import { headsToDrop, withoutHeads } from '../../trainer/drop.ts';
import { withStrength } from '../../trainer/strength.ts';
import { heldBy } from '../../trainer/held.ts';
import { taskOf } from '../../tasks/registry.ts';
import type { Task, TrainableModel } from '../../tasks/task.ts';
import { plainForms, type AdapterOfPainter } from './plain-forms.ts';
import type { OnModel, PaintColumn } from './types.ts';

type Sampling = DiffusionTraining['sampling'];

/** A base model that makes pictures, on the engine. */
export class LoadedPainter {
  /** plain LoRAs that were fitted here */
  private readonly plain = plainForms();

  private constructor(
    readonly key: string,
    readonly file: DiffusionModelFile,
    readonly network: TrainableModel & { model: DiffusionModel },
    readonly vae: Vae,
  ) {}

  get model(): DiffusionModel {
    return this.network.model;
  }

  get task(): Task {
    return taskOf(this.file);
  }

  static async open({ model: reference, engine }: OnModel, log: (line: string) => void): Promise<LoadedPainter> {
    const file = await openModelFile(await resolveModel(reference, log), log);
    try {
      if (file.makes !== 'pictures') throw new UserError(`${file.name} writes texts and makes no pictures, which is needed here; choose another model`); // prettier-ignore
      await openEngine(engine, heldBy(file));
      log(`Loading ${file.name}`);
      const network = (await taskOf(file).load(file)) as LoadedPainter['network'];
      try {
        return new LoadedPainter(keyOf({ model: reference, engine }), file, network, await network.model.vae());
      } catch (error) {
        network.dispose();
        throw error;
      }
    } catch (error) {
      await file.close();
      throw error;
    }
  }

  /**
   * An adapter on this model, with heads left out besides its own: those in `off`, or the least important ones; at the strength asked for.
   * @throws UserError
   */
  async adapter(
    folder: string,
    { off, leaveOut, renormalize = false, strength = 1 }: PaintColumn = {},
  ): Promise<AdapterOfPainter> {
    const stored = withStrength(await readAdapter(folder), strength);
    const { description } = stored;
    const asked = leaveOut === undefined ? (off ?? { heads: [], renormalize: false }) : { heads: [...headsToDrop(description, leaveOut)], renormalize }; // prettier-ignore
    const less = asked.heads.length > 0 ? withoutHeads(stored, new Set(asked.heads), asked.renormalize) : stored;
    return { adapter: adapterOnModel(less, this.network, basename(folder)), description };
  }

  /** What paints a column; undefined for the model alone. @param log what takes a while. @throws UserError, the signal's reason */
  async adaptation(
    column: PaintColumn,
    log: (line: string) => void,
    signal: AbortSignal,
  ): Promise<Adapter | undefined> {
    const { folder, form } = column;
    if (folder === undefined) return undefined;
    const { adapter, description } = await this.adapter(folder, column);
    if (form) return this.plain(this, { adapter, description, folder, form, log, signal });
    return asOneGraph(adapter);
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
    this.network.dispose();
    await this.file.close();
  }
}

/** The B of heads that were left out are zero: nothing else has to keep them out, and one graph serves with many and few. */
export function asOneGraph(adapter: Adapter): Adapter {
  if (!adapter.dropped.renormalize) adapter.drop();
  return adapter;
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
