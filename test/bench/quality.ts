// npm run bench:quality -- DATA [NAME...]: LoRA, HydraLoRA and EffiLoRA on a mix of three kinds of task, each run in a process of
// its own. DATA holds math-word, arc-open and boolq as <set>.train.jsonl and <set>.test.jsonl (instruction, output). Every
// finished run is one line of runs/quality/results.jsonl and is not run again; NAMEs choose among the runs, `drops` and `peft` among
// them.
// Prints the tables of what is there.
import { execFile } from 'node:child_process';
import fs from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { formatRecipe, parseRecipe } from '../../src-main/recipe/recipe.ts';
import { SETS, writeTokenized } from './quality-data.ts';
import {
  DROP_RUN,
  MODEL,
  PEFT_RUN,
  RUNS,
  SEED_RUNS,
  SEQUENCE_LENGTH,
  type Measurement,
  type QualityRun,
} from './quality-runs.ts';
import {
  dropsTable,
  peftTable,
  runsTable,
  seedsTable,
  type Peer,
  type Drops,
  type Finished,
} from './quality-tables.ts';

const folder = path.resolve('runs/quality');
const at = (name: string) => path.join(folder, name);
const testFiles = SETS.map((set) => at(`data/${set}.test.jsonl`)).join();

/** The run's complete recipe, defaults filled in: what a finished run is known by. */
function recipeOf({ method, training }: QualityRun): string {
  const steps = { steps: 100, batch: 8, sequenceLength: SEQUENCE_LENGTH, schedule: 'constant', evalSplit: 0 };
  const dataset = SETS.map((set) => ({ path: at(`data/${set}.train.jsonl`) }));
  const recipe = { model: MODEL, dataset, method, training: { ...steps, precision: 'bf16', ...training } };
  return formatRecipe(parseRecipe(JSON.stringify(recipe), 'the benchmark'));
}

/** What a program of this folder prints. */
async function programLines<T>(program: string, args: string[]): Promise<T[]> {
  const file = fileURLToPath(new URL(program, import.meta.url));
  const { stdout } = await promisify(execFile)(process.execPath, ['--import', 'tsx', file, ...args]);
  return stdout
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line) as T);
}

async function read<T>(name: string): Promise<T[]> {
  const text = await fs.readFile(at(name), 'utf8').catch(() => '');
  return text
    .split('\n')
    .filter(Boolean)
    .map((line) => JSON.parse(line) as T);
}

const append = (name: string, line: object) => fs.appendFile(at(name), `${JSON.stringify(line)}\n`);

/** Trains, unless a run of this recipe ended before it was measured, and measures. */
async function execute(run: QualityRun, recipe: string): Promise<void> {
  const done = await fs.readFile(at(`${run.name}/recipe.yaml`), 'utf8').catch(() => '');
  const ended = done === recipe && (await fs.stat(at(`${run.name}/training.json`)).catch(() => undefined));
  if (run.method && !ended) {
    await fs.rm(at(run.name), { recursive: true, force: true });
    await fs.writeFile(at(`${run.name}.yaml`), recipe);
    const [training] = await programLines<object>('./quality-train.ts', [at(`${run.name}.yaml`), at(run.name)]);
    await fs.writeFile(at(`${run.name}/training.json`), JSON.stringify(training));
  }
  const training = run.method ? (JSON.parse(await fs.readFile(at(`${run.name}/training.json`), 'utf8')) as object) : {};
  const tested = run.method ? at(run.name) : '-';
  const [measurement] = await programLines<Measurement>('./quality-evaluate.ts', [testFiles, tested]);
  await append('results.jsonl', { name: run.name, recipe, ...training, ...measurement });
}

const [source, ...chosen] = process.argv.slice(2);
if (!source) {
  console.error('Say where the data is: npm run bench:quality -- FOLDER');
  process.exit(2);
}
const wanted = (name: string) => chosen.length === 0 || chosen.includes(name);
await writeTokenized(MODEL, source, at('data'));
const all = [...RUNS, ...SEED_RUNS.flatMap(({ runs }) => runs)];
for (const run of all.filter(({ name }) => wanted(name))) {
  const recipe = recipeOf(run);
  const before = await read<Finished>('results.jsonl');
  if (before.some((one) => one.name === run.name && one.recipe === recipe)) continue;
  console.error(run.name);
  await execute(run, recipe);
}
if (wanted('drops') && (await read<Drops>('drops.jsonl')).length === 0) {
  const curves = await programLines<Omit<Drops, 'run'>>('./quality-evaluate.ts', [testFiles, at(DROP_RUN), 'drop']);
  for (const curve of curves) await append('drops.jsonl', { run: DROP_RUN, ...curve });
}
if (wanted('peft') && (await read<Peer>('peft.jsonl')).length === 0) {
  const [losses] = await programLines<Peer['losses']>('./quality-peft.ts', [at(`${PEFT_RUN}.yaml`), testFiles]);
  await append('peft.jsonl', { run: PEFT_RUN, losses });
}
const finished = await read<Finished>('results.jsonl');
const tables = [runsTable(finished), seedsTable(finished), peftTable(finished, await read<Peer>('peft.jsonl'))];
console.log([...tables, dropsTable(await read<Drops>('drops.jsonl'))].join('\n\n'));
