import type { AdapterDetail, Recipe } from '../../../src-preload/contract/index.ts';
import { UserError } from '../../engine/types.ts';

/**
 * The recipe that trains an adapter on from where it stands: its own, for `steps` more, with nothing frozen. Heads it has left
 * out stay out, as its description says which they are.
 * @throws UserError when it neither carries a recipe with data nor is given any
 */
export function recoveryRecipe({ adapter, recipe }: AdapterDetail, steps: number, dataset?: string): Recipe {
  const own = recipe as Partial<Recipe>;
  const data = dataset ?? own.dataset;
  if (data === undefined)
    throw new UserError(`"${adapter.name}" doesn't say what it was trained on. Choose a dataset to train on.`);
  const often = Math.max(1, Math.round(steps / 10));
  return {
    ...own,
    model: adapter.modelReference,
    dataset: data,
    method: { ...own.method, reducer: { ratio: 0 } },
    training: {
      ...own.training,
      ...{ steps, epochs: undefined, warmupSteps: 0 },
      ...{ evalEvery: often, checkpointEvery: often, headsEvery: undefined },
    },
    init: adapter.folder,
  };
}
