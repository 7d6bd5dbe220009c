import fs from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import { Document } from 'yaml';
import type { Plan } from '../../src-preload/contract/index.ts';
import { UserError } from '../engine/types.ts';
import { openModelFile, resolveModel } from '../models/open.ts';
import { proposePlan } from '../studio/work/plan.ts';
import { proposePicturePlan } from '../studio/work/plan-pictures.ts';
import { parseRecipe } from '../recipe/recipe.ts';
import { writeAtomic } from '../trainer/atomic.ts';
import { command, modelOption } from './command.ts';
import { EXIT } from './exit.ts';
import { duration, note, printJson, size, table } from './output.ts';
import { bytes, seconds } from './values.ts';

interface PlanFlags {
  model: string;
  dataset: string[];
  memory?: number;
  time?: number;
  out?: string;
  json?: boolean;
}

/** `effilora plan`: the Configurator's proposal, as a recipe. */
export function planCommand(program: Command): void {
  command(program, 'plan', 'propose a recipe that fits the machine, with a reason for each choice', [
    'plan --model smollm2-135m --dataset train.jsonl --out recipe.yaml',
    'plan --model smollm2-135m --dataset a.jsonl b.csv --memory 8GiB --time 2h --out recipe.yaml',
    'plan --model smollm2-135m --dataset train.jsonl --json',
  ])
    .addOption(modelOption().makeOptionMandatory())
    .requiredOption('--dataset <file...>', 'one dataset, or several that are mixed')
    .option(
      '--memory <size>',
      'memory the run may take, such as 8GiB (default: most of what its device has free)',
      bytes,
    )
    .option('--time <time>', 'time it may take, such as 2h or 30min (default: as long as it takes)', seconds)
    .option('--out <file>', 'where to write the recipe (default: standard output)')
    .action(proposeRecipe);
}

async function proposeRecipe(flags: PlanFlags): Promise<void> {
  const { out } = flags;
  if (out !== undefined && fs.existsSync(out))
    throw new UserError(`${out} is there already; name another file with --out, or remove it`);
  const reference = await resolveModel(flags.model, note);
  const file = await openModelFile(reference);
  try {
    const isName = reference !== flags.model;
    const request = {
      model: isName ? flags.model : path.resolve(reference),
      mix: flags.dataset.map((dataset) => ({ path: path.resolve(dataset), weight: 1 })),
      memoryBytes: flags.memory,
      seconds: flags.time,
      fixed: {},
    };
    const plan = await (file.makes === 'texts' ? proposePlan(file, request) : proposePicturePlan(file, request));
    const recipe = recipeText(plan);
    // What comes out has to go in.
    parseRecipe(recipe, out ?? 'recipe.yaml');
    if (out !== undefined) await writeAtomic(out, recipe);
    show(plan, recipe, flags);
    if (!plan.fits) process.exitCode = EXIT.userError;
  } finally {
    await file.close();
  }
}

/** The recipe, each choice's reason above it. */
function recipeText({ recipe, choices }: Plan): string {
  const document = new Document(recipe);
  document.commentBefore = [' Proposed by effilora plan:', ...choices.map(({ reason }) => ` - ${reason}`)].join('\n');
  return document.toString();
}

function show(plan: Plan, recipe: string, { json, out }: PlanFlags): void {
  if (json) return printJson({ ...plan, out });
  const say = out === undefined ? note : console.log;
  for (const { name, value, reason } of plan.choices) say(`${name}: ${value ? `${value}. ` : ''}${reason}`);
  const total = plan.memory.reduce((sum, { bytes: part }) => sum + part, 0);
  const rows = plan.memory.map(({ part, bytes: part_ }) => [part, size(part_)]);
  say(`\n${table(['memory', 'predicted'], [...rows, ['In all', `${size(total)} of ${size(plan.limitBytes)}`]])}`);
  if (plan.seconds !== null) {
    const basis = plan.secondsMeasured
      ? 'by what the last run reached'
      : 'a guess until a run has measured this machine';
    say(`\nTime: about ${duration(plan.seconds)}, ${basis}`);
  }
  say(`Trainable parameters: ${plan.structure.trainableParameters.toLocaleString('en')}`);
  for (const warning of plan.warnings) say(`\nMind: ${warning}`);
  if (out === undefined) console.log(recipe);
  else console.log(`\nThe recipe is in ${out}. Start it with: effilora train ${out}`);
}
