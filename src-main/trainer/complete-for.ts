import type { AnyModelFile } from '../models/open.ts';
import { fitRecipe } from '../recipe/kinds.ts';
import type { Recipe } from '../recipe/recipe.ts';
import { taskOf } from '../tasks/registry.ts';
import type { Task } from '../tasks/task.ts';

/**
 * Completes a recipe in place for the model that it names: with the defaults of its kind, and with what follows from the model itself.
 * @throws UserError naming a key that was written and is for another kind of model, or what this one can't do
 */
export function completeFor(recipe: Recipe, file: AnyModelFile): Task {
  fitRecipe(recipe, file);
  const task: Task = taskOf(file);
  task.complete?.(recipe, file);
  return task;
}
