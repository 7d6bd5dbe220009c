import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { UserError, type EngineName } from '../engine/types.ts';
import { formatRecipe, parseRecipe, type Recipe } from '../recipe/recipe.ts';
import { writeAtomic } from '../trainer/atomic.ts';
import type { RunSummary } from '../trainer/events.ts';
import { note } from './output.ts';
import { Progress } from './progress.ts';
import { followRun } from './run.ts';

export interface DemoFlags {
  model?: string;
  steps?: number;
  out?: string;
  engine: EngineName | 'auto';
  json?: boolean;
  vision?: boolean;
  questions?: number;
  pictures?: boolean;
  captions?: number;
}

/** An example that comes with the studio. */
export interface DemoExample {
  /** its recipe, and what is held out for judging */
  folder: string;
  /** where its runs go: runs/<name> */
  name: string;
}

export const resource = (name: string) => fileURLToPath(new URL(`../../resources/${name}`, import.meta.url));

/** Trains on an example as the flags say; undefined after an interruption, which has set the exit code. @throws UserError */
export async function runExample(
  { folder: from, name }: DemoExample,
  flags: DemoFlags,
): Promise<{ recipe: Recipe; folder: string; summary: RunSummary } | undefined> {
  const folder = path.resolve(flags.out ?? freeFolder(`runs/${name}`));
  const recipe = exampleRecipe(path.join(from, 'recipe.yaml'), flags);
  fs.mkdirSync(folder, { recursive: true });
  const recipeFile = path.join(folder, 'recipe.yaml');
  await writeAtomic(recipeFile, formatRecipe(recipe));
  note(`Fine-tunes ${recipe.model} on ${recipe.dataset[0]!.path}`);
  const summary = await follow(recipeFile, folder, flags.json ?? false);
  return summary && { recipe, folder, summary };
}

function freeFolder(wanted: string): string {
  for (let count = 1; ; count++) {
    const folder = count === 1 ? wanted : `${wanted}-${count}`;
    if (!fs.existsSync(folder)) return folder;
  }
}

function exampleRecipe(file: string, { model, steps, engine }: DemoFlags): Recipe {
  const recipe = parseRecipe(fs.readFileSync(file, 'utf8'), file);
  if (model !== undefined) recipe.model = fs.existsSync(model) ? path.resolve(model) : model;
  if (steps !== undefined) recipe.training.steps = steps;
  if (engine !== 'auto') recipe.engine = engine as typeof recipe.engine;
  return recipe;
}

async function follow(recipe: string, folder: string, quiet: boolean): Promise<RunSummary | undefined> {
  const progress = new Progress();
  const { end, interrupted } = await followRun({
    ...{ recipe, folder, resume: false },
    onEvent: (event) => !quiet && progress.show(event),
    onInterrupt: () => progress.line('Writing a checkpoint'),
  });
  progress.clear();
  if (interrupted !== undefined) {
    process.exitCode = interrupted;
    note(`Interrupted. Go on with: effilora train ${path.relative('.', folder)} --resume`);
    return undefined;
  }
  if (end.outcome === 'failed') throw end.forPeople ? new UserError(end.message) : new Error(end.message);
  return end.summary;
}
