// npm run bench:commonsense -- DATA [NAME...]: methods on equal terms on questions with options to choose from, as the method's paper has
// them. DATA holds <set>.train.jsonl and <set>.test.jsonl in the form of its eight sets. Each run is a process of its own and one line of
// runs/commonsense/results.jsonl, and is not run again; NAMEs choose runs whose name holds one. Prints the table.
import { formatRecipe, parseRecipe } from '../../src-main/recipe/recipe.ts';
import { wilson } from '../../src-main/studio/evaluations/summary.ts';
import { readQuestions, SETS, type SetName } from './commonsense-data.ts';
import { MODEL, recipeOf, RUNS, type CommonsenseFinished, type CommonsenseMeasurement } from './commonsense-runs.ts';
import { head, mean, millions, percent, programLines, row, Study, toldOf } from './study.ts';
import { encoderOf, writeTokens } from './token-files.ts';

const study = new Study('runs/commonsense');
const names = Object.keys(SETS) as SetName[];
const trainFile = (set: SetName) => study.at(`data/${set}.train.jsonl`);

/** What runs learn from, tokenized: the right answers in words. */
async function writeTraining(data: string): Promise<void> {
  const { encode, close } = await encoderOf(MODEL);
  for (const set of names) {
    const questions = await readQuestions(data, set, 'train');
    await writeTokens(trainFile(set), encode, questions.map(({ question, options, right }) => [question, options[right]!])); // prettier-ignore
  }
  await close();
}

/** A share of right answers with half the width of its 95 % interval, in percent. */
function accuracy(right: number, asked: number): string {
  const { share, low, high } = wilson(right, asked);
  return `${percent(share)} ± ${percent((high - low) / 2)}`;
}

/** By method: what its seeds did on the mean, of losses the lowest and highest beside it; intervals are those of one seed's questions. */
function table(finished: CommonsenseFinished[]): string {
  const lines = [...new Set(RUNS.map(({ title }) => title))].flatMap((title) => {
    const ours = RUNS.filter((run) => run.title === title).map(({ name }) => name);
    const runs = finished.filter(({ name }) => ours.includes(name));
    if (runs.length === 0) return [];
    const sum = (of: Record<string, number>) => names.reduce((all, set) => all + of[set]!, 0);
    const share = (right: (one: CommonsenseFinished) => number, asked: number) =>
      accuracy(mean(runs.map(right)), asked);
    const by = toldOf(runs);
    return row([
      ...[title, runs.length, by(({ parameters }) => parameters, millions), by(({ trained }) => trained, millions)],
      ...names.map((set) => share(({ right }) => right[set]!, runs[0]!.asked[set]!)),
      share(({ right }) => sum(right), sum(runs[0]!.asked)),
      by(({ losses }) => sum(losses) / names.length, (value) => value.toFixed(4)), // prettier-ignore
      by(
        ({ cpuSeconds }) => cpuSeconds,
        (value) => value.toFixed(0),
      ),
      by(
        ({ peakBytes }) => peakBytes && peakBytes / 2 ** 30,
        (value) => value.toFixed(2),
      ),
    ]);
  });
  const columns = ['method', 'seeds', 'parameters, millions', 'trained to the end', ...names.map((set) => `${set}, % right`)]; // prettier-ignore
  return [...head([...columns, 'all, % right', 'mean loss', 'processor seconds', 'peak GiB']), ...lines].join('\n');
}

const [data, ...chosen] = process.argv.slice(2);
if (!data) {
  console.error('Say where the data is: npm run bench:commonsense -- FOLDER');
  process.exit(2);
}
await writeTraining(data);
const measure = async (folder: string) =>
  (await programLines<CommonsenseMeasurement>('./commonsense-evaluate.ts', [data, folder]))[0]!;
for (const run of RUNS.filter(({ name }) => chosen.length === 0 || chosen.some((part) => name.includes(part)))) {
  const recipe = parseRecipe(JSON.stringify(recipeOf(run, run.sets.map(trainFile))), 'the table');
  await study.once(run, formatRecipe(recipe), measure);
}
console.log(table(await study.read<CommonsenseFinished>('results.jsonl')));
