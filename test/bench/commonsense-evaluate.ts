// Measures one adapter of the commonsense table: `commonsense-evaluate.ts DATA FOLDER`; the folder `-` stands for the base model.
// Prints one JSON line, a `CommonsenseMeasurement`.
import { prepare, type PreparedExample } from '../../src-main/data/dataset.ts';
import { openEngine } from '../../src-main/engine/index.ts';
import { loadCausalLM } from '../../src-main/models/causal-lm.ts';
import { openTextModel, resolveModel } from '../../src-main/models/open.ts';
import { logLikelihoods } from '../../src-main/tasks/language/evaluation.ts';
import { meanOf } from '../../src-main/tasks/likelihood.ts';
import { adapterOnModel, readAdapter } from '../../src-main/trainer/adapter-folder.ts';
import { readQuestions, SETS, tokensOf, type Question, type SetName } from './commonsense-data.ts';
import { MODEL, type CommonsenseMeasurement } from './commonsense-runs.ts';
import { sizeOf } from './study.ts';

const [data, folder] = process.argv.slice(2) as [string, string];
await openEngine('tensorflow');
const file = await openTextModel(await resolveModel(MODEL));
const model = await loadCausalLM(file);
const encode = (text: string) => file.tokenizer!.encode(text, { addSpecialTokens: false });
const options = { loss: 'answer', sequenceLength: 1024, vocabularySize: file.config.vocabularySize } as const;
const stored = folder === '-' ? undefined : await readAdapter(folder);
const adapter = stored && adapterOnModel(stored, model, folder);

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
  const likelihoods = await logLikelihoods(model, questions.flatMap(answered), adapter);
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
  ...(adapter ? sizeOf(adapter, stored!) : { parameters: 0, trained: 0 }),
};
for (const set of Object.keys(SETS) as SetName[]) {
  const { right, asked, loss } = await worth(set);
  [measured.right[set], measured.asked[set], measured.losses[set]] = [right, asked, loss];
}
console.log(JSON.stringify(measured));
process.exit(0);
