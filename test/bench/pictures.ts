// npm run bench:pictures [-- NAME...]: LoRA, HydraLoRA and EffiLoRA on questions about pictures: on the studio's example, and on a mix
// of it with three unlike kinds; three seeds. Each run is a process of its own and one line of runs/pictures-study/results.jsonl, and is not run
// again; NAMEs choose runs whose name holds one. Prints the tables of what is there.
import path from 'node:path';
import { formatRecipe, parseRecipe } from '../../src-main/recipe/recipe.ts';
import { drawMix, MIX } from './picture-mix.ts';
import {
  DATA,
  METHODS,
  MODEL,
  RUNS,
  type Data,
  type PicturesFinished,
  type PicturesMeasurement,
  type PicturesRun,
} from './pictures-runs.ts';
import { head, mean, millions, percent, programLines, row, Study, told } from './study.ts';

const study = new Study('runs/pictures-study');
const EXAMPLE = path.resolve('resources/picture-examples');

const tables = (data: Data, part: 'train' | 'held-out') => [
  path.join(EXAMPLE, `${part}.csv`),
  ...(data === 'mix' ? MIX.map((kind) => study.at(`data/${kind}/${part}/metadata.csv`)) : []),
];

function recipeOf({ data, method, seed }: PicturesRun): string {
  const training = { steps: 100, batch: 8, sequenceLength: 128, evalSplit: 0, seed };
  const dataset = tables(data, 'train').map((path) => ({ path }));
  return formatRecipe(parseRecipe(JSON.stringify({ model: MODEL, dataset, method, training }), 'the study'));
}

const shares = ({ right }: PicturesFinished) => right.map(({ right, of }) => right / of);

/** By method: shares of the held-out questions answered to the letter, mean over the seeds that are there, and what it took. */
function table(data: Data, finished: PicturesFinished[]): string {
  const sets = data === 'mix' ? ['example', ...MIX] : ['example'];
  const lines = ['Base model', ...Object.keys(METHODS)].flatMap((title) => {
    const names = RUNS.filter((one) => one.data === data && one.title === title).map(({ name }) => name);
    const runs = finished.filter(({ name }) => names.includes(name));
    if (runs.length === 0) return [];
    const by = (of: (one: PicturesFinished) => number, text: (value: number) => string) => told(runs.map(of), text);
    const cost = runs.every(({ cpuSeconds }) => cpuSeconds !== undefined)
      ? [by((one) => one.cpuSeconds!, (value) => value.toFixed(0)), by((one) => one.seconds!, (value) => value.toFixed(0)), by((one) => one.peakBytes! / 2 ** 30, (value) => value.toFixed(2))] // prettier-ignore
      : ['', '', ''];
    return row([
      ...[title, runs.length, millions(runs[0]!.parameters), by((one) => one.trained, millions)],
      ...sets.map((_, i) => by((one) => shares(one)[i]!, percent)),
      ...[by((one) => mean(shares(one)), percent), ...cost],
    ]);
  });
  const columns = ['method', 'seeds', 'parameters, millions', 'trained to the end', ...sets.map((set) => `${set}, %`)];
  return [...head([...columns, 'mean, %', 'processor seconds', 'seconds', 'peak GiB']), ...lines].join('\n');
}

const chosen = process.argv.slice(2);
const wanted = ({ name }: PicturesRun) => chosen.length === 0 || chosen.some((part) => name.includes(part));
await drawMix(study.at('data'));
for (const run of RUNS.filter(wanted)) {
  const asked = tables(run.data, 'held-out').join();
  const measure = async (folder: string) =>
    (await programLines<PicturesMeasurement>('./pictures-evaluate.ts', [asked, folder]))[0]!;
  await study.once(run, recipeOf(run), measure);
}
const finished = await study.read<PicturesFinished>('results.jsonl');
for (const data of DATA) console.log(`${data}\n\n${table(data, finished)}\n`);
