import { Option, type Command } from 'commander';
import { UserError, type EngineName } from '../engine/types.ts';
import { dropCurve, type DropOrder, type DropPoint } from '../trainer/drop.ts';
import { taskOf } from '../tasks/registry.ts';
import type { TextEvaluation } from '../tasks/task.ts';
import { inspectAdapter, type AdapterFacts, type HeadFacts } from '../trainer/inspect.ts';
import { examplesFor } from '../trainer/measure.ts';
import { openForRunning } from '../trainer/opened-model.ts';
import { command, engineOption, modelOption } from './command.ts';
import { note, printJson, table } from './output.ts';
import { numbers, whole } from './values.ts';

interface InspectFlags {
  drop?: number[];
  dataset?: string;
  model?: string;
  order: DropOrder['by'];
  seed: number;
  renormalize?: boolean;
  engine: EngineName | 'auto';
  json?: boolean;
}

/** `effilora inspect`: an adapter's heads, and what it loses without the least important ones. */
export function inspectCommand(program: Command): void {
  command(program, 'inspect', 'show an adapter head by head, and measure it with heads left out', [
    'inspect runs/my-run',
    'inspect runs/my-run --drop 0.1,0.3,0.5 --dataset held-out.jsonl',
    'inspect runs/my-run --drop 0.3 --order random --dataset held-out.jsonl --json',
  ])
    .argument('<adapter>', 'a run, an adapter folder or a PEFT folder')
    .option('--drop <ratios>', 'measure the loss with these shares of the heads left out', numbers(0, 1))
    .option('--dataset <file>', 'what to measure on')
    .addOption(modelOption().default(undefined, 'the one it was trained on'))
    .addOption(
      new Option('--order <by>', 'which heads go first').choices(['importance', 'random']).default('importance'),
    )
    .option('--seed <number>', 'of the random order', whole(0), 0)
    .option('--renormalize', 'the router shares among the heads that stay')
    .addOption(engineOption())
    .action(inspect);
}

async function inspect(adapter: string, flags: InspectFlags): Promise<void> {
  const facts = await inspectAdapter(adapter);
  const measured = flags.drop && (await measureDrops(adapter, facts, flags.drop, flags));
  if (flags.json) return printJson({ ...facts, ...measured });
  print(facts);
  if (measured) printDrops(measured);
}

interface Drops {
  /** with every head */
  whole: TextEvaluation;
  drop: DropPoint[];
}

async function measureDrops(place: string, { description }: AdapterFacts, ratios: number[], flags: InspectFlags) {
  if (flags.dataset === undefined) throw new UserError('--drop measures on a dataset; add --dataset');
  const trainedOn = description.recipe.model;
  const model = flags.model ?? (typeof trainedOn === 'string' ? trainedOn : undefined);
  if (model === undefined) throw new UserError(`${place} doesn't say which model it is for; add --model`);
  const opened = await openForRunning({ model, adapter: place, engine: flags.engine }, note);
  try {
    const examples = await examplesFor(opened, { path: flags.dataset });
    const order: DropOrder = flags.order === 'random' ? { by: 'random', seed: flags.seed } : { by: 'importance' };
    const evaluate = () => taskOf(opened.file).evaluate(opened.model, examples, opened.adapter);
    const full = await evaluate();
    const options = { order, renormalize: flags.renormalize };
    const drop = await dropCurve(evaluate, opened.adapter!, description, ratios, options);
    return { whole: full, drop };
  } finally {
    await opened.close();
  }
}

function print({ description, heads }: AdapterFacts): void {
  const { method, baseModel } = description;
  const frozen = heads.filter(({ frozenSince }) => frozenSince !== null).length;
  console.log(`${method.name}, rank ${method.rank}, ${method.heads} heads a site, on ${baseModel.name}`);
  console.log(
    `${heads.length} heads, ${frozen} frozen at the end. In each: importance, share of the router, *step it froze at\n`,
  );
  const columns = Array.from({ length: method.heads }, (_, head) => head);
  const bySite = heads.filter(({ head }) => head === 0);
  const rows = bySite.map(({ layer, site }, index) => [
    layer,
    site,
    ...columns.map((head) => cell(heads[index * method.heads + head]!)),
  ]);
  console.log(table(['layer', 'site', ...columns.map((head) => `head ${head}`)], rows));
}

function cell({ importance, frozenSince, dropped, routerShare }: HeadFacts): string {
  const share = routerShare === null ? '' : ` ${(100 * routerShare).toFixed(0)}%`;
  const state = dropped ? ' dropped' : frozenSince === null ? '' : ` *${frozenSince}`;
  return `${importance.toExponential(1)}${share}${state}`;
}

function printDrops({ whole: full, drop }: Drops): void {
  console.log(`\nLoss on ${full.examples} examples, ${full.tokens} label tokens`);
  const rows = drop.map(({ ratio, dropped, loss }) => [
    ratio,
    dropped,
    loss.toFixed(4),
    `${loss >= full.loss ? '+' : ''}${(loss - full.loss).toFixed(4)}`,
  ]);
  console.log(table(['dropped', 'heads', 'loss', 'change'], [['none', 0, full.loss.toFixed(4), ''], ...rows]));
}
