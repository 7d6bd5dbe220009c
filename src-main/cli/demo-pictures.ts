import fs from 'node:fs';
import path from 'node:path';
import { z } from 'zod';
import { UserError } from '../engine/types.ts';
import { paint } from '../models/diffusion/pipeline/paint.ts';
import { openModelFile, resolveModel } from '../models/open.ts';
import type { Adaptation } from '../models/types.ts';
import { decodePicture } from '../models/vision/pictures/decode.ts';
import { encodePng } from '../models/vision/pictures/encode.ts';
import type { Picture } from '../models/vision/pictures/picture.ts';
import type { Recipe } from '../recipe/recipe.ts';
import { LoadedPainter } from '../studio/stage/loaded-painter.ts';
import { kernelDistance } from '../tasks/kernel-distance.ts';
import { PictureJudge, type Judgement } from '../tasks/picture-judge.ts';
import { writeAtomic } from '../trainer/atomic.ts';
import type { RunSummary } from '../trainer/events.ts';
import { resource, runExample, type DemoFlags } from './demo-runs.ts';
import { duration, note, printJson } from './output.ts';
import { gridOf } from './picture-grid.ts';

const EXAMPLE = { folder: resource('line-drawings'), name: 'drawings' };
/** Pictures that are painted together. */
const AT_ONCE = 8;
const heldOutRow = z.object({ file_name: z.string(), text: z.string(), concept: z.string() });
type HeldOut = z.output<typeof heldOutRow>;

interface Comparison {
  /** kernel inception distances to the held-out drawings, by the features of the example's judge */
  kidBefore: number;
  kidAfter: number;
  /** shares of the pictures in which it sees what their caption names */
  conceptAccuracyBefore: number;
  conceptAccuracyAfter: number;
  /** painted each time */
  pictures: number;
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
  const asked = heldOut().slice(0, most);
  const { model, engine } = recipe;
  const painter = await LoadedPainter.open({ model, engine }, note);
  const judge = await PictureJudge.open(path.join(EXAMPLE.folder, 'judge.safetensors'));
  try {
    const { adapter } = await painter.adapter(folder);
    const painted = async (adaptation?: Adaptation) => {
      note(`Painting ${asked.length} held-out captions ${adaptation ? 'with' : 'without'} the adapter`);
      return paintAll(painter, recipe, asked.map(({ text }) => text), adaptation); // prettier-ignore
    };
    const before = await painted();
    const after = await painted(adapter).finally(() => adapter.dispose());
    const drawn = features(await judge.judge(await drawings()));
    const [was, is] = [await judge.judge(before), await judge.judge(after)];
    const accuracy = (said: Judgement[]) =>
      said.filter(({ thing }, i) => thing === asked[i]!.concept).length / asked.length;
    const grid = path.join(folder, 'grid.png');
    await writeAtomic(grid, await encodePng(gridOf(before, after)));
    return {
      ...{ kidBefore: kernelDistance(features(was), drawn), kidAfter: kernelDistance(features(is), drawn) },
      ...{ conceptAccuracyBefore: accuracy(was), conceptAccuracyAfter: accuracy(is) },
      ...{ pictures: asked.length, grid },
    };
  } finally {
    judge.dispose();
    await painter.close();
  }
}

const features = (said: Judgement[]) => said.map((each) => each.features);

function heldOut(): HeldOut[] {
  const lines = fs
    .readFileSync(path.join(EXAMPLE.folder, 'held-out', 'metadata.jsonl'), 'utf8')
    .trim()
    .split('\n');
  return lines.map((line) => heldOutRow.parse(JSON.parse(line)));
}

/** The held-out drawings themselves, all of them. */
async function drawings(): Promise<Picture[]> {
  const files = heldOut().map(({ file_name: name }) => path.join(EXAMPLE.folder, 'held-out', name));
  return Promise.all(files.map((file) => decodePicture(fs.readFileSync(file), file)));
}

/** As the recipe's samples are painted, each picture from noise of its own. */
async function paintAll(
  painter: LoadedPainter,
  { training }: Recipe,
  prompts: string[],
  adaptation?: Adaptation,
): Promise<Picture[]> {
  const { resolution, sampling } = training.diffusion!;
  const { seed, ...how } = painter.completed({ width: resolution, height: resolution, ...sampling });
  const painted: Picture[] = [];
  for (let from = 0; from < prompts.length; from += AT_ONCE) {
    const together = prompts.slice(from, from + AT_ONCE);
    const seeds = together.map((_, i) => seed + from + i);
    painted.push(...(await paint(painter.model, painter.vae, { ...how, prompts: together, seeds, adaptation })));
  }
  return painted;
}

function show({ pictures, grid, ...measured }: Comparison, { step, folder }: RunSummary, seconds: number): void {
  const { kidBefore, kidAfter, conceptAccuracyBefore, conceptAccuracyAfter } = measured;
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  const place = (file: string) => path.relative('.', file);
  console.log(`\n${step} steps; ${duration(seconds)} in all. ${pictures} captions that were not learned from were painted before and after, from the same noise.`); // prettier-ignore
  console.log(
    `\nHow far the pictures are from drawings in lines (KID): ${kidBefore.toFixed(3)} before, ${kidAfter.toFixed(3)} after; lower is nearer.`,
  );
  console.log(`What the caption names is seen in ${percent(conceptAccuracyBefore)} of them before, ${percent(conceptAccuracyAfter)} after.`); // prettier-ignore
  console.log(`\nPictures, the upper row before and the lower one after: ${place(grid)}`);
  console.log(`The adapter is in ${place(folder)}. Look at its heads: effilora inspect ${place(folder)}`);
}
