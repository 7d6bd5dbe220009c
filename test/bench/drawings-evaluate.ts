// Measures one adapter of the study on line drawings: `drawings-evaluate.ts RECIPE FOLDER`; the folder `-` stands for the base model.
// Prints one JSON line, a `DrawingsMeasurement`.
import fs from 'node:fs';
import { fileURLToPath } from 'node:url';
import { HeldOutDrawings } from '../../src-main/cli/held-out-drawings.ts';
import { parseRecipe } from '../../src-main/recipe/recipe.ts';
import { LoadedPainter } from '../../src-main/studio/stage/loaded-painter.ts';
import { taskOf } from '../../src-main/tasks/registry.ts';
import { readAdapter } from '../../src-main/trainer/adapter-folder.ts';
import type { DrawingsMeasurement } from './drawings-runs.ts';
import { sizeOf } from './study.ts';

const EXAMPLE = fileURLToPath(new URL('../../resources/line-drawings', import.meta.url));
const [recipeFile, folder] = process.argv.slice(2) as [string, string];
const recipe = parseRecipe(fs.readFileSync(recipeFile, 'utf8'), recipeFile);
const painter = await LoadedPainter.open({ model: recipe.model, engine: 'tensorflow' }, () => {});
const adapter = folder === '-' ? undefined : (await painter.adapter(folder)).adapter;
const heldOut = await HeldOutDrawings.open(EXAMPLE);
const { kid, conceptAccuracy } = await heldOut.worth(painter, recipe, adapter);

const { file, network } = painter;
const task = taskOf(file);
const reading = task.reading(file, { pictures: { resolution: recipe.training.diffusion!.resolution } });
const { examples, close } = await task.dataset({ path: `${EXAMPLE}/held-out` }, 0, file, reading);
const { loss } = await task.evaluate(network as Parameters<typeof task.evaluate>[0], examples, adapter);
close();
const size = adapter ? sizeOf(adapter, await readAdapter(folder)) : { parameters: 0, trained: 0 };
console.log(JSON.stringify({ kid, conceptAccuracy, loss, ...size } satisfies DrawingsMeasurement));
process.exit(0);
