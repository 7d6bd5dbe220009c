import { counted } from '../../src-preload/counted.ts';
import { Option, type Command } from 'commander';
import { inspectAdapter, type AdapterFacts, type HeadFacts } from '../trainer/inspect.ts';
import { command, engineOption, modelOption } from './command.ts';
import { measureHeads, printMeasured, type MeasureFlags } from './inspect-measured.ts';
import { printJson, table } from './output.ts';
import { numbers, whole } from './values.ts';

interface InspectFlags extends MeasureFlags {
  json?: boolean;
}

/** `effilora inspect`: an adapter's heads, and what it loses without the least important ones. */
export function inspectCommand(program: Command): void {
  command(program, 'inspect', 'show an adapter head by head, and measure it with heads left out', [
    'inspect runs/my-run',
    'inspect runs/my-run --drop 0.1,0.3,0.5 --dataset held-out.jsonl',
    'inspect runs/my-run --drop 0.3 --order random --dataset held-out.jsonl --json',
    'inspect runs/my-style --by-noise 10 --dataset pictures',
  ])
    .argument('<adapter>', 'a run, an adapter folder or a PEFT folder')
    .option('--drop <ratios>', 'measure the loss with these shares of the heads left out', numbers(0, 1))
    .option(
      '--by-noise <parts>',
      "of a model that makes pictures: the router's shares in so many equal parts of the noise",
      whole(2, 100),
    )
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
  const measured = await measureHeads(adapter, facts, flags);
  if (flags.json) return printJson({ ...facts, ...measured });
  print(facts);
  printMeasured(measured);
}

function print({ description, heads }: AdapterFacts): void {
  const { method, baseModel } = description;
  const frozen = heads.filter(({ frozenSince }) => frozenSince !== null).length;
  console.log(`${method.name}, rank ${method.rank}, ${counted(method.heads, 'head')} a site, on ${baseModel.name}`);
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
