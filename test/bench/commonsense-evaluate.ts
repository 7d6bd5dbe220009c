// Measures one adapter of the commonsense table: `commonsense-evaluate.ts DATA FOLDER`; the folder `-` stands for the base model.
// Prints one JSON line, a `CommonsenseMeasurement`.
import { prepare, type PreparedExample } from '../../src-main/data/dataset.ts';
import { languageOf } from '../../src-main/models/conversant.ts';
import { logLikelihoods } from '../../src-main/tasks/language/evaluation.ts';
import { meanOf } from '../../src-main/tasks/likelihood.ts';
import { readAdapter } from '../../src-main/trainer/adapter-folder.ts';
import { openForRunning } from '../../src-main/trainer/opened-model.ts';
import { readQuestions, SETS, type Question, type SetName } from './commonsense-data.ts';
import { MODEL, type CommonsenseMeasurement } from './commonsense-runs.ts';
import { sizeOf } from './study.ts';
import { encodeBy, tokensOf } from './token-files.ts';

const [data, folder] = process.argv.slice(2) as [string, string];
const adapterFolder = folder === '-' ? undefined : folder;
const { file, model, adapter } = await openForRunning(
  { model: MODEL, engine: 'tensorflow', ...(adapterFolder && { adapter: adapterFolder }) },
  () => {},
);
const encode = encodeBy(file.tokenizer!);
const options = { loss: 'answer', sequenceLength: 1024, vocabularySize: file.config.vocabularySize } as const;

/** A question with each of its options. */
const answered = ({ question, options: all }: Question): PreparedExample[] =>
  all.map((option) => {
    const example = prepare({ kind: 'tokens', row: 1, ...tokensOf(encode, question, option) }, 0, options);
    if (typeof example === 'string') throw new Error(`${question}: ${example}`);
    return example;
  });

/** The likeliest option is the model's answer; by the character, as longer ones are less likely (lm-evaluation-harness: acc_norm). */
async function worth(set: SetName): Promise<{ right: number; asked: number; loss: number }> {
  const questions = await readQuestions(data, set, 'test');
  const likelihoods = await logLikelihoods(languageOf(model), questions.flatMap(answered), adapter);
  let [from, right] = [0, 0];
  const told = questions.map((question) => {
    const own = likelihoods.slice(from, (from += question.options.length));
    const scores = own.map(({ sum }, i) => sum / question.options[i]!.length);
    if (scores.indexOf(Math.max(...scores)) === question.right) right++;
    return own[question.right]!;
  });
  return { right, asked: questions.length, loss: meanOf(told).loss };
}

const measured: CommonsenseMeasurement = {
  ...{ right: {}, asked: {}, losses: {} },
  ...(adapter ? sizeOf(adapter, await readAdapter(folder)) : { parameters: 0, trained: 0 }),
};
for (const set of Object.keys(SETS) as SetName[]) {
  const { right, asked, loss } = await worth(set);
  [measured.right[set], measured.asked[set], measured.losses[set]] = [right, asked, loss];
}
console.log(JSON.stringify(measured));
process.exit(0);
