import path from 'node:path';
import type { Command } from 'commander';
import { readDataset, type PreparedExample } from '../data/dataset.ts';
import { readingOptions } from '../data/reading-options.ts';
import { UserError } from '../engine/types.ts';
import { answer } from '../models/answer.ts';
import { messageText } from '../models/message-text.ts';
import { taskOf } from '../tasks/registry.ts';
import type { RunSummary } from '../trainer/events.ts';
import { openForRunning, type OpenedModel } from '../trainer/opened-model.ts';
import { command, engineOption } from './command.ts';
import { demoPictures } from './demo-pictures.ts';
import { resource, runExample, type DemoFlags } from './demo-runs.ts';
import { demoVision } from './demo-vision.ts';
import { duration, note, printJson } from './output.ts';
import { sideBySide } from './side-by-side.ts';
import { whole } from './values.ts';

const EXAMPLE = { folder: resource('examples'), name: 'demo' };
const LONGEST_ANSWER = 80;

/** `effilora demo`: a fine-tune of a few minutes on the example dataset, and what it changed. */
export function demoCommand(program: Command): void {
  command(program, 'demo', 'fine-tune the default model on the example dataset and compare its answers', [
    'demo',
    'demo --steps 20 --out runs/try',
    'demo --vision',
    'demo --pictures',
  ])
    .option('--vision', 'on questions about pictures, with the default model that sees')
    .option(
      '--questions <number>',
      'of --vision: held-out questions that are answered before and after (default: 500)',
      whole(1),
    )
    .option('--pictures', 'on line drawings, with the default model that makes pictures')
    .option(
      '--captions <number>',
      'of --pictures: held-out captions that are painted before and after (default: all 120)',
      whole(2),
    )
    .option('--model <model>', "another model than the example recipe's")
    .option('--steps <number>', "another length than the example recipe's", whole(1))
    .option('--out <folder>', "the run's folder (default: the next free of runs/demo, runs/demo-2, …)")
    .addOption(engineOption())
    .action(demo);
}

async function demo(flags: DemoFlags): Promise<void> {
  if (flags.vision && flags.pictures)
    throw new UserError('--vision and --pictures are two examples; choose one of them');
  if (flags.vision) return demoVision(flags);
  if (flags.pictures) return demoPictures(flags);
  const run = await runExample(EXAMPLE, flags);
  if (!run) return;
  const { recipe, folder, summary } = run;
  const opened = await openForRunning({ model: recipe.model, adapter: folder, engine: recipe.engine }, note);
  try {
    const comparison = await compare(opened);
    if (flags.json) printJson({ ...comparison, summary });
    else show(comparison, summary);
  } finally {
    await opened.close();
  }
}

interface Comparison {
  question: string;
  expected: string;
  base: { answer: string; loss: number };
  tuned: { answer: string; loss: number };
  examples: number;
}

/** Both models' loss on the held-out examples, and their answers to one of them. */
async function compare(opened: OpenedModel): Promise<Comparison> {
  const base: OpenedModel = { ...opened, adapter: undefined };
  const held = { path: path.join(EXAMPLE.folder, 'held-out.jsonl') };
  const { examples } = await readDataset(held, 0, readingOptions(opened.file));
  const { question, expected } = asked(examples);
  note('Answering a held-out example with and without the adapter');
  const of = async (model: OpenedModel) => ({
    answer: await wholeAnswer(model, question),
    loss: (await taskOf(model.file).evaluate(model.model, examples, model.adapter)).loss,
  });
  return { question, expected, base: await of(base), tuned: await of(opened), examples: examples.length };
}

function asked(examples: PreparedExample[]): { question: string; expected: string } {
  const { example } = examples[0]!;
  if (example.kind !== 'chat') throw new Error('the example dataset holds chats');
  const [question, reply] = example.messages.slice(-2);
  return { question: messageText(question!), expected: messageText(reply!) };
}

async function wholeAnswer(model: OpenedModel, prompt: string): Promise<string> {
  let text = '';
  for await (const piece of answer(model, { prompt, maxTokens: LONGEST_ANSWER })) text += piece.text;
  return text.trim();
}

function show({ question, expected, base, tuned, examples }: Comparison, { seconds, folder, step }: RunSummary): void {
  console.log(`\n${step} steps in ${duration(seconds)}. A held-out example:\n\n${question}\n\nExpected: ${expected}\n`);
  console.log(sideBySide('Before', base.answer, 'After', tuned.answer, process.stdout.columns || 80));
  console.log(
    `\nLoss on ${examples} held-out examples: ${base.loss.toFixed(3)} before, ${tuned.loss.toFixed(3)} after.`,
  );
  console.log(
    `The adapter is in ${path.relative('.', folder)}. Look at its heads: effilora inspect ${path.relative('.', folder)}`,
  );
}
