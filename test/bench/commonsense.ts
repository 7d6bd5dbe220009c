// npm run bench:commonsense -- DATA [NAME...]: methods on equal terms on questions with options to choose from, as the method's paper has
// them. DATA holds <set>.train.jsonl and <set>.test.jsonl in the form of its eight sets. Each run is a process of its own and one line of
// runs/commonsense/results.jsonl, and is not run again; NAMEs choose runs whose name holds one. Prints the table.
import { formatRecipe, parseRecipe } from '../../src-main/recipe/recipe.ts';
import { wilson } from '../../src-main/studio/evaluations/summary.ts';
import { readQuestions, SETS, type SetName } from './commonsense-data.ts';
import { MODEL, recipeOf, RUNS, type CommonsenseFinished, type CommonsenseMeasurement } from './commonsense-runs.ts';
import { head, millions, percent, programLines, row, Study } from './study.ts';
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

function table(finished: CommonsenseFinished[]): string {
  const lines = RUNS.flatMap(({ name, title, sets }) => {
    const one = finished.find((run) => run.name === name);
    if (!one) return [];
    const sum = (of: Record<string, number>) => names.reduce((all, set) => all + of[set]!, 0);
    return row([
      ...[
        sets.length < names.length ? `${title}, ${sets.join()} alone` : title,
        millions(one.parameters),
        millions(one.trained),
      ],
      ...names.flatMap((set) => [accuracy(one.right[set]!, one.asked[set]!), one.losses[set]!.toFixed(3)]),
      ...[accuracy(sum(one.right), sum(one.asked)), (sum(one.losses) / names.length).toFixed(4)],
      ...[one.cpuSeconds?.toFixed(0) ?? '', one.peakBytes ? (one.peakBytes / 2 ** 30).toFixed(2) : ''],
    ]);
  });
  const columns = [
    'method',
    'parameters, millions',
    'trained to the end',
    ...names.flatMap((set) => [`${set}, % right`, 'loss']),
  ];
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
