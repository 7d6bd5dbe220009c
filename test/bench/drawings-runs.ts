// What the study on line drawings runs, and what a run gives.
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { formatRecipe, parseRecipe } from '../../src-main/recipe/recipe.ts';
import { namedAfter, type Size, type StudyRun, type Training } from './study.ts';

/** What a run is worth, by all held-out captions and drawings. */
export interface DrawingsMeasurement extends Size {
  /** kernel inception distance of what is painted to the drawings */
  kid: number;
  /** share of the pictures in which the judge sees what the caption names */
  conceptAccuracy: number;
  /** mean denoising loss on the drawings */
  loss: number;
}

export type DrawingsFinished = DrawingsMeasurement & Partial<Training> & { name: string; recipe: string };

/** Its recipe. */
export const EXAMPLE = fileURLToPath(new URL('../../resources/line-drawings/recipe.yaml', import.meta.url));
/** All else as the example has it, for 900 steps: nothing is chosen on what is held out. */
export const METHODS = {
  'LoRA, rank 8': { name: 'lora', heads: 1, reducer: { ratio: 0 } },
  'HydraLoRA, 3 heads of rank 8': { name: 'hydralora', heads: 3, reducer: { ratio: 0 } },
  'EffiLoRA, 3 heads of rank 8, Reducer at 60 %': { name: 'effilora', heads: 3 },
  'EffiLoRA, 1 head of rank 16, Reducer at 60 % from two thirds': {
    ...{ name: 'effilora', heads: 1, rank: 16, alpha: 32 },
    reducer: { warmup: 600, interval: 135 },
  },
} as const;
export type Method = keyof typeof METHODS;
const SEEDS = [0, 1, 2];

export interface DrawingsRun extends StudyRun {
  title: Method | 'Base model';
  seed: number;
}

/** All runs, seed by seed, so that each method has as many whenever it is stopped. */
export const RUNS: DrawingsRun[] = [
  { name: 'base', title: 'Base model', seed: 0 },
  ...SEEDS.flatMap((seed) =>
    (Object.keys(METHODS) as Method[]).map((title): DrawingsRun => ({
      name: namedAfter(title, seed),
      ...{ title, seed, method: METHODS[title] },
    })),
  ),
];

/** The example's recipe by a run's method and seed, complete. */
export function recipeOf({ method, seed }: DrawingsRun): string {
  const recipe = parseRecipe(fs.readFileSync(EXAMPLE, 'utf8'), EXAMPLE);
  const { reducer, ...structure } = { reducer: {}, ...method };
  Object.assign(recipe.method, structure, { reducer: { ...recipe.method.reducer, ...reducer } });
  Object.assign(recipe.training, { seed, samples: 0, evalSplit: 0 });
  return formatRecipe(recipe);
}
