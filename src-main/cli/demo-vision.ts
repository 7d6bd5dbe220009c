import fs from 'node:fs';
import path from 'node:path';
import type { PreparedExample } from '../data/dataset.ts';
import { readingOptions } from '../data/reading-options.ts';
import { UserError } from '../engine/types.ts';
import { answer } from '../models/answer.ts';
import { readsTextAlone } from '../models/conversant.ts';
import { messageText } from '../models/message-text.ts';
import { openTextModel, resolveModel } from '../models/open.ts';
import { taskOf } from '../tasks/registry.ts';
import type { RunSummary } from '../trainer/events.ts';
import { openForRunning, type OpenedModel } from '../trainer/opened-model.ts';
import { resource, runExample, type DemoFlags } from './demo-runs.ts';
import { duration, note, printJson } from './output.ts';
import { sideBySide } from './side-by-side.ts';

const EXAMPLE = { folder: resource('picture-examples'), name: 'pictures' };
/** Held-out questions that are answered without the adapter and with it. */
const QUESTIONS = 500;
const LONGEST_ANSWER = 24;

type AboutPictures = PreparedExample & { pictures: string[] };

interface Comparison {
  /** shares of the questions that are answered to the letter */
  accuracyBefore: number;
  accuracyAfter: number;
  questions: number;
  /** one of them, about a picture: what each answers */
  example: { picture: string; question: string; expected: string; before: string; after: string };
}

/** `effilora demo --vision`: a fine-tune of a few minutes on questions about pictures, and what it changed. */
export async function demoVision(flags: DemoFlags): Promise<void> {
  const started = performance.now();
  if (flags.model !== undefined) await checkSees(flags.model);
  const run = await runExample(EXAMPLE, flags);
  if (!run) return;
  const { recipe, folder, summary } = run;
  const opened = await openForRunning({ model: recipe.model, adapter: folder, engine: recipe.engine }, note);
  try {
    const comparison = await compare(opened, flags.questions ?? QUESTIONS);
    const seconds = (performance.now() - started) / 1000;
    if (flags.json) printJson({ ...comparison, seconds, summary });
    else show(comparison, summary, seconds);
  } finally {
    await opened.close();
  }
}

/** @throws UserError for a model that can't see, before anything is learned */
async function checkSees(reference: string): Promise<void> {
  const file = await openTextModel(await resolveModel(reference, note));
  await file.close();
  if (!file.sees) throw new UserError(readsTextAlone(file.name));
}

async function compare(opened: OpenedModel, most: number): Promise<Comparison> {
  const { file, model, adapter } = opened;
  const held = { path: path.join(EXAMPLE.folder, 'held-out.csv') };
  const { examples, close } = await taskOf(file).dataset(held, 0, file, readingOptions(file));
  try {
    const count = Math.min(most, examples.count);
    const asked = Array.from({ length: count }, (_, i) => examples.read(i) as AboutPictures);
    note(`Answering ${count} held-out questions with and without the adapter`);
    const { toTheLetter } = taskOf(file).choices;
    const before = await toTheLetter(model, asked);
    const after = await toTheLetter(model, asked, adapter);
    const share = (right: boolean[]) => right.filter(Boolean).length / count;
    // One that was learned, where there is any.
    const told = Math.max(
      0,
      after.findIndex((right, i) => right && !before[i]),
    );
    return {
      ...{ accuracyBefore: share(before), accuracyAfter: share(after), questions: count },
      example: await answered(opened, asked[told]!),
    };
  } finally {
    close();
  }
}

async function answered(opened: OpenedModel, { example, pictures }: AboutPictures): Promise<Comparison['example']> {
  if (example.kind !== 'chat') throw new Error('the example dataset holds chats');
  const [question, expected] = example.messages.slice(-2).map(messageText) as [string, string];
  const files = pictures.map((name) => path.join(EXAMPLE.folder, 'pictures', name));
  const given = files.map((name) => ({ name, bytes: fs.readFileSync(name) }));
  const of = async (model: OpenedModel) => {
    let text = '';
    for await (const piece of answer(model, { prompt: question, pictures: given, maxTokens: LONGEST_ANSWER }))
      text += piece.text;
    return text.trim();
  };
  const base = { ...opened, adapter: undefined };
  return { picture: files[0]!, question, expected, before: await of(base), after: await of(opened) };
}

function show({ example, ...shares }: Comparison, { step, folder }: RunSummary, seconds: number): void {
  const { picture, question, expected, before, after } = example;
  console.log(`\n${step} steps. A held-out question about ${path.relative('.', picture)}:\n\n${question}\n\nExpected: ${expected}\n`); // prettier-ignore
  console.log(sideBySide('Before', before, 'After', after, process.stdout.columns || 80));
  const percent = (share: number) => `${(100 * share).toFixed(1)} %`;
  console.log(
    `\nOf ${shares.questions} held-out questions ${percent(shares.accuracyBefore)} were answered to the letter before, ${percent(shares.accuracyAfter)} after; ${duration(seconds)} in all.`,
  );
  const place = path.relative('.', folder);
  console.log(`The adapter is in ${place}. Look at its heads: effilora inspect ${place}`);
}
