// npm run bench:quality -- DATA [NAME...]: LoRA, HydraLoRA and EffiLoRA on a mix of three kinds of task, each run in a process of
// its own. DATA holds math-word, arc-open and boolq as <set>.train.jsonl and <set>.test.jsonl (instruction, output). Every
// finished run is one line of runs/quality/results.jsonl and is not run again; NAMEs choose among the runs, `drops` and `peft` among
// them.
// Prints the tables of what is there.
import { formatRecipe, parseRecipe } from '../../src-main/recipe/recipe.ts';
import { QUALITY_SLICES, SETS, writeTokenized } from './quality-data.ts';
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
import { programLines, Study } from './study.ts';

const study = new Study('runs/quality');
const at = (name: string) => study.at(name);
const testFiles = SETS.map((set) => at(`data/${set}.test.jsonl`)).join();

function recipeOf({ method, training }: QualityRun): string {
  const steps = { steps: 100, batch: 8, sequenceLength: SEQUENCE_LENGTH, schedule: 'constant', evalSplit: 0 };
  const dataset = SETS.map((set) => ({ path: at(`data/${set}.train.jsonl`) }));
  const recipe = { model: MODEL, dataset, method, training: { ...steps, precision: 'bf16', ...training } };
  return formatRecipe(parseRecipe(JSON.stringify(recipe), 'the benchmark'));
}

const [source, ...chosen] = process.argv.slice(2);
if (!source) {
  console.error('Say where the data is: npm run bench:quality -- FOLDER');
  process.exit(2);
}
const wanted = (name: string) => chosen.length === 0 || chosen.includes(name);
await writeTokenized(MODEL, source, at('data'), QUALITY_SLICES);
const all = [...RUNS, ...SEED_RUNS.flatMap(({ runs }) => runs)];
const measure = async (folder: string) =>
  (await programLines<Measurement>('./quality-evaluate.ts', [MODEL, testFiles, folder]))[0]!;
for (const run of all.filter(({ name }) => wanted(name))) await study.once(run, recipeOf(run), measure);
if (wanted('drops') && (await study.read<Drops>('drops.jsonl')).length === 0) {
  const curves = await programLines<Omit<Drops, 'run'>>('./quality-evaluate.ts', [
    MODEL,
    testFiles,
    at(DROP_RUN),
    'drop',
  ]);
  for (const curve of curves) await study.append('drops.jsonl', { run: DROP_RUN, ...curve });
}
if (wanted('peft') && (await study.read<Peer>('peft.jsonl')).length === 0) {
  const [losses] = await programLines<Peer['losses']>('./quality-peft.ts', [at(`${PEFT_RUN}.yaml`), testFiles]);
  await study.append('peft.jsonl', { run: PEFT_RUN, losses });
}
const finished = await study.read<Finished>('results.jsonl');
const tables = [runsTable(finished), seedsTable(finished), peftTable(finished, await study.read<Peer>('peft.jsonl'))];
console.log([...tables, dropsTable(await study.read<Drops>('drops.jsonl'))].join('\n\n'));
