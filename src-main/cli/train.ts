import fs from 'node:fs';
import path from 'node:path';
import type { Command } from 'commander';
import { UserError } from '../engine/types.ts';
import type { RunSummary } from '../trainer/events.ts';
import { parseRecipe } from '../recipe/recipe.ts';
import { acceptChangedData } from '../trainer/run-datasets.ts';
import type { TrainerEnd } from '../trainer/supervisor.ts';
import { adviceOn } from './advice.ts';
import { command } from './command.ts';
import { duration, note, printJson } from './output.ts';
import { Progress } from './progress.ts';
import { followRun } from './run.ts';

interface TrainFlags {
  out?: string;
  resume?: boolean;
  acceptDropped?: boolean;
  acceptChangedData?: boolean;
  json?: boolean;
}

/** `effilora train`: a run in the trainer's own process. */
export function trainCommand(program: Command): void {
  command(program, 'train', 'fine-tune a model by a recipe; Ctrl-C writes a checkpoint and ends', [
    'train recipe.yaml',
    'train recipe.yaml --out runs/first',
    'train runs/first --resume',
  ])
    .argument('<recipe>', 'a recipe (YAML), or with --resume a run to go on with')
    .option('--out <folder>', "the run's folder (default: runs/ and the recipe's name)")
    .option('--resume', 'go on from the last checkpoint')
    .option('--accept-dropped', "train although more than 5 % of a dataset's rows can't be used")
    .option('--accept-changed-data', 'with --resume: go on though a dataset has changed since the run began')
    .action(train);
}

async function train(given: string, flags: TrainFlags): Promise<void> {
  const { recipe, folder } = flags.resume ? runToResume(given, flags.out) : newRun(given, flags.out);
  if (flags.acceptChangedData && !flags.resume)
    throw new UserError('--accept-changed-data goes with --resume; a run that begins takes its data as it is');
  if (flags.acceptChangedData) await acceptChangedData(folder);
  const progress = new Progress();
  const run = await followRun({
    ...{ recipe, folder, resume: flags.resume ?? false, acceptDropped: flags.acceptDropped },
    onEvent: (event) => (flags.json ? printJson(event) : progress.show(event)),
    onInterrupt: () =>
      progress.line('Writing a checkpoint; Ctrl-C again ends at once and loses what came since the last'),
  });
  progress.clear();
  await finish(run.end, folder, run.interrupted, flags.json ?? false);
}

/** A recipe that is not there or not valid is refused before a process starts and a folder is made. */
function newRun(given: string, out: string | undefined) {
  const stat = fs.statSync(given, { throwIfNoEntry: false });
  if (!stat) throw new UserError(`The recipe "${given}" is not there; check the path, or make one with effilora plan`);
  if (stat.isDirectory())
    throw new UserError(`${given} is a folder; give a recipe, or add --resume to go on with the run in it`);
  parseRecipe(fs.readFileSync(given, 'utf8'), given);
  return { recipe: given, folder: path.resolve(out ?? usualFolder(given)) };
}

/** A run goes on by the complete recipe in its own folder, so that it ends in the same numbers. */
function runToResume(given: string, out: string | undefined) {
  const isFolder = fs.statSync(given, { throwIfNoEntry: false })?.isDirectory() ?? false;
  const folder = path.resolve(out ?? (isFolder ? given : usualFolder(given)));
  const recipe = path.join(folder, 'recipe.yaml');
  if (!fs.existsSync(recipe))
    throw new UserError(`${folder} holds no run to go on with; name its folder, or start it without --resume`);
  return { recipe, folder };
}

const usualFolder = (recipe: string) => path.join('runs', path.parse(recipe).name);

/** Says how a run ended and sets the exit code. */
async function finish(
  end: TrainerEnd,
  folder: string,
  interrupted: number | undefined,
  asJson: boolean,
): Promise<void> {
  if (end.outcome !== 'failed' && asJson) printJson({ kind: 'done', summary: end.summary });
  if (interrupted !== undefined && (end.outcome === 'failed' || end.outcome === 'paused')) {
    note(`Interrupted. Go on with: effilora train ${path.relative('.', folder) || '.'} --resume`);
    process.exitCode = interrupted;
  } else if (end.outcome === 'failed') throw end.forPeople ? new UserError(end.message) : new Error(end.message);
  else if (!asJson) {
    console.log(told(end.summary));
    for (const line of await adviceOn(folder)) console.log(`\n${line}`);
  }
}

const REASONS: Record<RunSummary['reason'], string> = {
  finished: 'Done',
  early: 'Stopped early, as the held-out loss no longer fell',
  stopped: 'Stopped',
  paused: 'Paused',
};

function told({ reason, step, loss, evalLoss, seconds, frozenHeads, heads, folder }: RunSummary): string {
  const losses = [
    loss !== null && `loss ${loss.toFixed(4)}`,
    evalLoss !== null && `held-out loss ${evalLoss.toFixed(4)}`,
    `${frozenHeads} of ${heads} heads frozen`,
  ].filter((part) => part !== false);
  return `${REASONS[reason]}: ${step} steps in ${duration(seconds)}, ${losses.join(', ')}.\nThe adapter is in ${path.relative('.', folder) || '.'}.`;
}
