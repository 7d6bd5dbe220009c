// npm run bench:constraints -- DATA [FIGURE]: the Reducer's constraints at work on SmolLM2-135M. DATA holds math-word.train.jsonl
// (instruction, output). Three short runs, each kept to something else: numbers that train, seconds a step, and a held-out
// loss no worse than its best; beside each the same run without. Every finished run is one line of runs/constraints/results.jsonl and is not
// run again. Prints what was asked and what held, and writes FIGURE (docs/images/constraints.svg) from it.
import fs from 'node:fs/promises';
import path from 'node:path';
import { formatRecipe, parseRecipe } from '../../src-main/recipe/recipe.ts';
import { readAdapter } from '../../src-main/trainer/adapter-folder.ts';
import { figure, type Chart } from './line-chart.ts';
import { head, linesOf, millions, row, Study } from './study.ts';

const MODEL = 'smollm2-135m';
const METHOD = { name: 'effilora', rank: 8, heads: 3 };
const SELECTION = { warmup: 10, interval: 10 };
const STEPS = 40;
/** Numbers that train at most. */
const PARAMETERS = 2_000_000;
/** Of the seconds that a step takes where nothing freezes. */
const SHARE_OF_TIME = 0.8;
const TOLERANCE = 0.005;

/** A run along its steps. */
interface Course {
  name: string;
  recipe: string;
  /** numbers that train in each step */
  trained: number[];
  /** that each step took */
  seconds: number[];
  /** held-out loss by step */
  heldOut: { step: number; loss: number }[];
  /** selections that were undone */
  undone: number[];
  /** held-out loss of the adapter that it ended in */
  ended: number;
}

const [data, to = 'docs/images/constraints.svg'] = process.argv.slice(2);
if (!data) {
  console.error('Say where the data is: npm run bench:constraints -- FOLDER');
  process.exit(2);
}
const study = new Study('runs/constraints');
await fs.mkdir(study.at('.'), { recursive: true });

function recipeOf(reducer: object, training: object = {}): string {
  const recipe = {
    model: MODEL,
    dataset: [{ path: path.resolve(data!, 'math-word.train.jsonl') }],
    method: { ...METHOD, reducer: { ...SELECTION, ...reducer } },
    training: {
      ...{ steps: STEPS, batch: 2, sequenceLength: 128, schedule: 'constant', learningRate: 1e-3, precision: 'int8' },
      ...{ evalEvery: 5, evalSplit: 16, samples: 0, checkpointEvery: STEPS, ...training },
    },
  };
  return formatRecipe(parseRecipe(JSON.stringify(recipe), 'the benchmark'));
}

const lines = async <T>(file: string) => linesOf<T>(await fs.readFile(file, 'utf8'));

/** What a run's files say of its course. */
async function courseOf(folder: string): Promise<Omit<Course, 'name' | 'recipe'>> {
  const { description, tensors } = await readAdapter(folder);
  const ended = (description.metrics as { evalLoss: number }).evalLoss;
  const sizeOf = new Map<string, number>();
  let fixed = 0;
  for (const { name, shape } of tensors) {
    const size = shape.reduce((product, axis) => product * axis, 1);
    const site = /^layers\.(.+)\.B$/.exec(name)?.[1];
    if (site === undefined) fixed += size;
    else for (let k = 0; k < shape[0]!; k++) sizeOf.set(`${site}.${k}`, size / shape[0]!);
  }
  const all = fixed + [...sizeOf.values()].reduce((sum, size) => sum + size, 0);
  if (sizeOf.size !== Object.keys(description.heads).length) throw new Error('the heads are not those of the file');
  const heads = await lines<{ frozen: string[] }>(path.join(folder, 'heads.jsonl'));
  const metrics = await lines<{ step: number; tokens: { all: number }; tokensPerSecond: number; evalLoss?: number }>(
    path.join(folder, 'metrics.jsonl'),
  );
  const log = await fs.readFile(path.join(folder, 'trainer.log'), 'utf8');
  return {
    trained: heads.map(({ frozen }) => all - frozen.reduce((sum, name) => sum + sizeOf.get(name)!, 0)),
    seconds: metrics.map(({ tokens, tokensPerSecond }, at) => (tokens.all - (metrics[at - 1]?.tokens.all ?? 0)) / tokensPerSecond), // prettier-ignore
    heldOut: metrics.flatMap(({ step, evalLoss }) => (evalLoss === undefined ? [] : [{ step, loss: evalLoss }])),
    undone: [...log.matchAll(/Step (\d+).*undone/g)].map((match) => Number(match[1])),
    ended,
  };
}

async function run(name: string, reducer: object, training?: object): Promise<Course> {
  const recipe = recipeOf(reducer, training);
  await study.once({ name, method: METHOD }, recipe, courseOf);
  return (await study.read<Course>('results.jsonl')).findLast((one) => one.name === name && one.recipe === recipe)!;
}

/** The value that such a share of all lies below: a quarter of the steps is little disturbed by what else the machine does. */
const quantile = (values: number[], share: number) =>
  [...values].sort((a, b) => a - b)[Math.floor(values.length * share)]!;
/** Steps between the selections, of which none is compiled or looks at every head. */
const usual = (seconds: number[], from: number) =>
  seconds.filter((_, at) => at + 1 > from && (at + 1 - SELECTION.warmup) % SELECTION.interval > 1);

const prefix = { policy: 'prefix', importanceAtMost: 1 };
const free = await run('free', prefix);
const undisturbed = quantile(usual(free.seconds, 1), 0.25);
const asked = Number((SHARE_OF_TIME * undisturbed).toPrecision(3));
const parameters = await run('parameters', { maxParameters: PARAMETERS });
const seconds = await run('seconds', { ...prefix, maxStepSeconds: asked });
const hasty = { learningRate: 8e-3 };
const heedless = await run('heedless', { ratio: 0.95 }, hasty);
const tolerant = await run('tolerance', { ratio: 0.95, tolerance: TOLERANCE }, hasty);

const along = (values: number[], scale = 1) => values.map((y, at) => ({ x: at + 1, y: y * scale }));
const limit = (y: number) => [1, STEPS].map((x) => ({ x, y }));
/** Without the first step, which is compiled; what compiling and a busy machine make longer is cut. */
const shown = (course: Course) => along(course.seconds.map((one) => Math.min(one, 3 * asked))).slice(1);
const bestSoFar = ({ heldOut }: Course) =>
  heldOut.map(({ step }, at) => ({ x: step, y: Math.min(...heldOut.slice(0, at + 1).map(({ loss }) => loss)) + TOLERANCE })); // prettier-ignore
const losses = ({ heldOut }: Course) => heldOut.map(({ step, loss }) => ({ x: step, y: loss }));
const charts: Chart[] = [
  {
    ...{
      title: `At most ${millions(PARAMETERS)} million numbers`,
      x: 'Step',
      y: 'Millions that train',
      fromZero: true,
    },
    lines: [
      { label: 'with the budget', points: along(parameters.trained, 1e-6) },
      { label: 'without', points: along(free.trained, 1e-6) },
      { label: 'the budget', points: limit(PARAMETERS / 1e6), dashed: true },
    ],
  },
  {
    ...{ title: `At most ${asked} seconds a step`, x: 'Step', y: 'Seconds', fromZero: true },
    lines: [
      { label: 'with the budget', points: shown(seconds) },
      { label: 'without', points: shown(free) },
      { label: 'the budget', points: limit(asked), dashed: true },
    ],
  },
  {
    ...{ title: `Ends at most ${TOLERANCE} above its best`, x: 'Step', y: 'Held-out loss' },
    lines: [
      { label: 'with the tolerance', points: losses(tolerant) },
      { label: 'without', points: losses(heedless) },
      { label: 'best + tolerance', points: bestSoFar(tolerant), dashed: true },
      { label: 'what is kept', points: limit(tolerant.ended), dashed: true },
    ],
  },
];
await fs.mkdir(path.dirname(to), { recursive: true });
await fs.writeFile(to, figure(charts));
const last = usual(seconds.seconds, STEPS - SELECTION.interval);
const above = ({ heldOut, ended }: Course) => ended - Math.min(...heldOut.map(({ loss }) => loss));
console.log(
  [
    ...head(['asked', 'without it', 'with it']),
    row([`at most ${millions(PARAMETERS)} million numbers train`, `${millions(free.trained.at(-1)!)} million`, `${millions(Math.max(...parameters.trained.slice(SELECTION.warmup)))} million at most from step ${SELECTION.warmup + 1} on`]), // prettier-ignore
    row([`at most ${asked} s a step`, `${undisturbed.toFixed(2)} s`, `${quantile(last, 0.5).toFixed(2)} s, the middle of the last ${last.length} steps between selections`]), // prettier-ignore
    row([`ends no more than ${TOLERANCE} above its best held-out loss`, `${above(heedless).toFixed(3)} above`, `${above(tolerant).toFixed(3)} above, at ${tolerant.ended.toFixed(3)}; selections undone after steps ${tolerant.undone.join(', ') || 'none'}`]), // prettier-ignore
  ].join('\n'),
);
