import path from 'node:path';
import { UserError } from '../engine/types.ts';
import { openModelFile, resolveModel } from '../models/open.ts';
import type { Adaptation } from '../models/types.ts';
import { encodePng } from '../models/vision/pictures/encode.ts';
import type { Recipe } from '../recipe/recipe.ts';
import { LoadedPainter } from '../studio/stage/loaded-painter.ts';
import { writeAtomic } from '../trainer/atomic.ts';
import type { RunSummary } from '../trainer/events.ts';
import { resource, runExample, type DemoFlags } from './demo-runs.ts';
import { HeldOutDrawings } from './held-out-drawings.ts';
import { duration, note, printJson } from './output.ts';
import { gridOf } from './picture-grid.ts';

/** Of what was learned so much acts where it paints: a style at its whole strength takes a small model farther from what it knew of things. */
const STRENGTH = 0.75;
const EXAMPLE = { folder: resource('line-drawings'), name: 'drawings' };

interface Comparison {
  /** kernel inception distances to the held-out drawings, by the features of the example's judge */
  kidBefore: number;
  kidAfter: number;
  /** shares of the pictures in which it sees what their caption names */
  conceptAccuracyBefore: number;
  conceptAccuracyAfter: number;
  /** painted each time */
  pictures: number;
  /** the share of what was learned that acted where it was painted with */
  strength: number;
  /** a PNG: in each pair of rows the upper one was painted before, the lower one after */
  grid: string;
}

/** `effilora demo --pictures`: a model that makes pictures learns to draw in lines in a few minutes, and what that changed. */
export async function demoPictures(flags: DemoFlags): Promise<void> {
  const started = performance.now();
  if (flags.model !== undefined) await checkMakesPictures(flags.model);
  const run = await runExample(EXAMPLE, flags);
  if (!run) return;
  const { recipe, folder, summary } = run;
  const comparison = await compare(recipe, folder, flags.captions);
  const seconds = (performance.now() - started) / 1000;
  if (flags.json) printJson({ ...comparison, seconds, summary });
  else show(comparison, summary, seconds);
}

/** @throws UserError for a model that writes, before anything is learned */
async function checkMakesPictures(reference: string): Promise<void> {
  const file = await openModelFile(await resolveModel(reference, note));
  await file.close();
  if (file.makes !== 'pictures')
    throw new UserError(`${file.name} writes texts and makes no pictures; choose a model that makes pictures, or leave --pictures out`); // prettier-ignore
}

/** Paints what held-out captions say by the model as it was and as it is, from the same noise. */
async function compare(recipe: Recipe, folder: string, most = Infinity): Promise<Comparison> {
  const { model, engine } = recipe;
  const painter = await LoadedPainter.open({ model, engine }, note);
  const heldOut = await HeldOutDrawings.open(EXAMPLE.folder);
  try {
    const { adapter } = await painter.adapter(folder, { strength: STRENGTH });
    const count = Math.min(most, heldOut.count);
    const worth = async (adaptation?: Adaptation) => {
      note(`Painting ${count} held-out captions ${adaptation ? 'with' : 'without'} the adapter`);
      return heldOut.worth(painter, recipe, adaptation, count);
    };
    const before = await worth();
    const after = await worth(adapter).finally(() => adapter.dispose());
    const grid = path.join(folder, 'grid.png');
    await writeAtomic(grid, await encodePng(gridOf(before.pictures, after.pictures)));
    return {
      ...{ kidBefore: before.kid, kidAfter: after.kid },
      ...{ conceptAccuracyBefore: before.conceptAccuracy, conceptAccuracyAfter: after.conceptAccuracy },
      ...{ pictures: count, strength: STRENGTH, grid },
    };
  } finally {
    heldOut.dispose();
    await painter.close();
  }
}

function show(
  { pictures, strength, grid, ...measured }: Comparison,
  { step, folder }: RunSummary,
  seconds: number,
): void {
  const { kidBefore, kidAfter, conceptAccuracyBefore, conceptAccuracyAfter } = measured;
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const place = (file: string) => path.relative('.', file);
  console.log(`\n${step} steps; ${duration(seconds)} in all. ${pictures} captions that were not learned from were painted before and after, from the same noise, after with ${percent(strength)} of the adapter's strength.`); // prettier-ignore
  console.log(
    `\nHow far the pictures are from drawings in lines (KID): ${kidBefore.toFixed(3)} before, ${kidAfter.toFixed(3)} after; lower is nearer.`,
  );
  console.log(`What the caption names is seen in ${percent(conceptAccuracyBefore)} of them before, ${percent(conceptAccuracyAfter)} after.`); // prettier-ignore
  console.log(`\nPictures, the upper row before and the lower one after: ${place(grid)}`);
  console.log(`The adapter is in ${place(folder)}. Look at its heads: effilora inspect ${place(folder)}`);
}
