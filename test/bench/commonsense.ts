// npm run bench:commonsense -- DATA [NAME...]: methods on equal terms on questions with options to choose from, as the method's paper has
// them. DATA holds <set>.train.jsonl and <set>.test.jsonl in the form of its eight sets. Each run is a process of its own and one line of
// runs/commonsense/results.jsonl, and is not run again; NAMEs choose runs whose name holds one. Prints the table.
import fs from 'node:fs/promises';
import { openTextModel, resolveModel } from '../../src-main/models/open.ts';
import { formatRecipe, parseRecipe } from '../../src-main/recipe/recipe.ts';
import { readQuestions, SETS, tokensOf, type SetName } from './commonsense-data.ts';
import { MODEL, recipeOf, RUNS, type CommonsenseFinished, type CommonsenseMeasurement } from './commonsense-runs.ts';
import { head, millions, programLines, row, Study } from './study.ts';

const study = new Study('runs/commonsense');
const names = Object.keys(SETS) as SetName[];
const trainFile = (set: SetName) => study.at(`data/${set}.train.jsonl`);

/** What runs learn from, tokenized: the right answers in words. */
async function writeTraining(data: string): Promise<void> {
  const file = await openTextModel(await resolveModel(MODEL));
  const encode = (text: string) => file.tokenizer!.encode(text, { addSpecialTokens: false });
  await fs.mkdir(study.at('data'), { recursive: true });
  for (const set of names) {
    const lines = (await readQuestions(data, set, 'train')).map(({ question, options, right }) => {
      const { inputIds, labels } = tokensOf(encode, question, options[right]!);
      return JSON.stringify({ input_ids: inputIds, labels });
    });
    await fs.writeFile(trainFile(set), `${lines.join('\n')}\n`);
  }
  await file.close();
}

/** A share of right answers with half the width of its 95 % interval (Wilson), in percent. */
function accuracy(right: number, asked: number): string {
  const z2 = 1.96 ** 2;
  const share = right / asked;
  const half = (1.96 * Math.sqrt((share * (1 - share)) / asked + z2 / (4 * asked ** 2))) / (1 + z2 / asked);
  return `${(100 * share).toFixed(1)} ± ${(100 * half).toFixed(1)}`;
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
