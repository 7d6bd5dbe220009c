import { PICTURE_LEARNING_RATES } from '../effilora/methods/learning-rates.ts';
import { UserError } from '../engine/types.ts';
import type { BaseModelFile } from '../models/types.ts';
import { diffusionMethodSchema, diffusionTrainingSchema } from './diffusion.ts';
import type { Recipe } from './recipe.ts';
import { OF_TEXTS, valueAt, writtenKeys } from './written.ts';

/** Keys of pictures alone. */
const OF_PICTURES = ['method.diffusion', 'training.diffusion'];

/**
 * Completes a recipe in place for the kind of model that it names: for one that makes pictures with the defaults of that.
 * @throws UserError naming a key that was written and is for another kind of model
 */
export function fitRecipe(recipe: Recipe, { makes, name }: Pick<BaseModelFile, 'makes' | 'name'>): void {
  const keys = writtenKeys(recipe);
  if (makes === 'texts') {
    const other = OF_PICTURES.find((key) => valueAt(recipe, key) !== undefined);
    if (other) throw new UserError(`${other} is for models that make pictures, and ${name} writes texts; leave it out`);
    return;
  }
  for (const [key, why] of Object.entries(OF_TEXTS))
    if (keys?.has(key)) throw new UserError(`${key} is for models that write, and ${name} makes pictures: ${why}; leave it out`); // prettier-ignore
  const { method, training } = recipe;
  const rate = PICTURE_LEARNING_RATES[method.name];
  if (rate === undefined)
    throw new UserError(`method.name ${method.name} is for models that write, and ${name} makes pictures; take one of ${Object.keys(PICTURE_LEARNING_RATES).join(', ')}`); // prettier-ignore
  if (method.reducer.policy === 'prefix')
    throw new UserError(`method.reducer.policy is prefix, which ends the backward pass above frozen layers, and a network of pictures leads every layer around the ones above it, too; take topk`); // prettier-ignore
  if (training.precision === 'int8')
    throw new UserError(`training.precision int8 is not there yet for models that make pictures like ${name}; take f32 or bf16`); // prettier-ignore
  method.diffusion ??= diffusionMethodSchema.parse({});
  training.diffusion ??= diffusionTrainingSchema.parse({});
  if (keys && !keys.has('training.learningRate')) training.learningRate = rate;
}
