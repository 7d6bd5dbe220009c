import fs from 'node:fs';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Command } from 'commander';
import { readDataset, type PreparedExample } from '../data/dataset.ts';
import { UserError, type EngineName } from '../engine/types.ts';
import { messageText } from '../models/message-text.ts';
import { answer } from '../models/answer.ts';
import { writeAtomic } from '../trainer/atomic.ts';
import { taskOf } from '../tasks/registry.ts';
import type { RunSummary } from '../trainer/events.ts';
import { readingOptions } from '../data/reading-options.ts';
import { openForRunning, type OpenedModel } from '../trainer/opened-model.ts';
import { formatRecipe, parseRecipe } from '../recipe/recipe.ts';
import { command, engineOption } from './command.ts';
import { duration, note, printJson } from './output.ts';
import { Progress } from './progress.ts';
import { followRun } from './run.ts';
import { sideBySide } from './side-by-side.ts';
import { whole } from './values.ts';

const EXAMPLES = fileURLToPath(new URL('../../resources/examples', import.meta.url));
const LONGEST_ANSWER = 80;

interface DemoFlags {
  model?: string;
  steps?: number;
  out?: string;
  engine: EngineName | 'auto';
  json?: boolean;
}

/** `effilora demo`: a fine-tune of a few minutes on the example dataset, and what it changed. */
export function demoCommand(program: Command): void {
  command(program, 'demo', 'fine-tune the default model on the example dataset and compare its answers', [
    'demo',
    'demo --steps 20 --out runs/try',
  ])
    .option('--model <model>', "another model than the example recipe's")
    .option('--steps <number>', "another length than the example recipe's", whole(1))
    .option('--out <folder>', "the run's folder (default: the next free of runs/demo, runs/demo-2, …)")
    .addOption(engineOption())
    .action(demo);
}

async function demo(flags: DemoFlags): Promise<void> {
  const folder = path.resolve(flags.out ?? freeFolder('runs/demo'));
  const recipe = exampleRecipe(flags);
  fs.mkdirSync(folder, { recursive: true });
  const recipeFile = path.join(folder, 'recipe.yaml');
  await writeAtomic(recipeFile, formatRecipe(recipe));
  note(`Fine-tunes ${recipe.model} on ${recipe.dataset[0]!.path}`);
  const summary = await runIt(recipeFile, folder, flags.json ?? false);
  if (!summary) return;
  const opened = await openForRunning({ model: recipe.model, adapter: folder, engine: recipe.engine }, note);
  try {
    const comparison = await compare(opened);
    if (flags.json) printJson({ ...comparison, summary });
    else show(comparison, summary);
  } finally {
    await opened.close();
  }
}

function freeFolder(wanted: string): string {
  for (let count = 1; ; count++) {
    const folder = count === 1 ? wanted : `${wanted}-${count}`;
    if (!fs.existsSync(folder)) return folder;
  }
}

function exampleRecipe({ model, steps, engine }: DemoFlags) {
  const file = path.join(EXAMPLES, 'recipe.yaml');
  const recipe = parseRecipe(fs.readFileSync(file, 'utf8'), file);
  if (model !== undefined) recipe.model = fs.existsSync(model) ? path.resolve(model) : model;
  if (steps !== undefined) recipe.training.steps = steps;
  if (engine !== 'auto') recipe.engine = engine as typeof recipe.engine;
  return recipe;
}

/** Returns undefined after an interruption, which has set the exit code. */
async function runIt(recipe: string, folder: string, quiet: boolean): Promise<RunSummary | undefined> {
  const progress = new Progress();
  const { end, interrupted } = await followRun({
    ...{ recipe, folder, resume: false },
    onEvent: (event) => !quiet && progress.show(event),
    onInterrupt: () => progress.line('Writing a checkpoint'),
  });
  progress.clear();
  if (interrupted !== undefined) {
    process.exitCode = interrupted;
    note(`Interrupted. Go on with: effilora train ${path.relative('.', folder)} --resume`);
    return undefined;
  }
  if (end.outcome === 'failed') throw end.forPeople ? new UserError(end.message) : new Error(end.message);
  return end.summary;
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
  const held = { path: path.join(EXAMPLES, 'held-out.jsonl') };
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
