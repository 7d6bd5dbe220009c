import { UserError, type EngineName } from '../engine/types.ts';
import { taskOf } from '../tasks/registry.ts';
import type { Evaluation, SharesByTime, TextEvaluation } from '../tasks/task.ts';
import { fewerHeads, type Dropped, type FewerHeads } from '../../src-preload/fewer-heads.ts';
import type { AdapterDescription } from '../effilora/adapter-schema.ts';
import { dropCurve, headsToDrop, type DropOrder, type DropPoint } from '../trainer/drop.ts';
import type { AdapterFacts } from '../trainer/inspect.ts';
import { examplesFor } from '../trainer/measure.ts';
import { openForMeasuring } from '../trainer/opened-model.ts';
import { note, table } from './output.ts';

export interface MeasureFlags {
  drop?: number[];
  byNoise?: number;
  dataset?: string;
  model?: string;
  order: DropOrder['by'];
  seed: number;
  renormalize?: boolean;
  engine: EngineName | 'auto';
}

/** What is measured of an adapter's heads; each where it was asked for. */
interface Measured {
  /** with every head; of what writes with its label tokens */
  whole?: Evaluation & Partial<TextEvaluation>;
  drop?: DropPoint[];
  /** whether fewer heads would have done, where the least important ones were left out */
  fewer?: FewerHeads;
  byNoise?: SharesByTime & { parts: number; examples: number };
}

/** Measures what the options ask for, on the model that the adapter is for. @throws UserError */
export async function measureHeads(
  place: string,
  { description }: AdapterFacts,
  flags: MeasureFlags,
): Promise<Measured> {
  const { drop: ratios, byNoise: parts } = flags;
  if (!ratios && parts === undefined) return {};
  if (flags.dataset === undefined)
    throw new UserError(`${ratios ? '--drop' : '--by-noise'} measures on a dataset; add --dataset`);
  const trainedOn = description.recipe.model;
  const model = flags.model ?? (typeof trainedOn === 'string' ? trainedOn : undefined);
  if (model === undefined) throw new UserError(`${place} doesn't say which model it is for; add --model`);
  const opened = await openForMeasuring({ model, adapter: place, engine: flags.engine }, note);
  try {
    const { file, adapter } = opened;
    const task = taskOf(file);
    if (parts !== undefined && !task.sharesByTime)
      throw new UserError(`--by-noise is for models that make pictures, and ${file.name} writes; leave it out`);
    const { examples, close } = await examplesFor(opened, { path: flags.dataset });
    try {
      const measured: Measured = {};
      if (ratios) {
        const order: DropOrder = flags.order === 'random' ? { by: 'random', seed: flags.seed } : { by: 'importance' };
        const evaluate = () => task.evaluate(opened.model, examples, adapter);
        measured.whole = await evaluate();
        measured.drop = await dropCurve(evaluate, adapter!, description, ratios, { order, renormalize: flags.renormalize }); // prettier-ignore
        if (order.by === 'importance')
          measured.fewer = wouldFewerDo(description, [{ ratio: 0, loss: measured.whole.loss }, ...measured.drop]);
      }
      if (parts !== undefined) {
        const shares = await task.sharesByTime!(opened.model, examples, adapter!, parts, {});
        measured.byNoise = { parts, examples: Array.from(examples).length, ...shares };
      }
      return measured;
    } finally {
      close();
    }
  } finally {
    await opened.close();
  }
}

function wouldFewerDo(description: AdapterDescription, curve: Dropped[]): FewerHeads | undefined {
  const { heads, rank, alpha, targets } = description.method;
  // A model that makes pictures has its places chosen by what they are part of.
  const sizes = { heads, rank, alpha, targets: targets.some((target) => target.includes('.')) ? undefined : targets };
  return fewerHeads(curve, sizes, [...headsToDrop(description, 1)]);
}

export function printMeasured({ whole, drop, fewer, byNoise }: Measured): void {
  if (whole && drop) printDrops(whole, drop);
  if (fewer) printFewer(fewer);
  if (byNoise) printByNoise(byNoise);
}

function printDrops(whole: NonNullable<Measured['whole']>, drop: DropPoint[]): void {
  console.log(`\nLoss on ${whole.examples} examples${whole.tokens === undefined ? '' : `, ${whole.tokens} label tokens`}`); // prettier-ignore
  const rows = drop.map(({ ratio, dropped, loss }) => [
    ratio,
    dropped,
    loss.toFixed(4),
    `${loss >= whole.loss ? '+' : ''}${(loss - whole.loss).toFixed(4)}`,
  ]);
  console.log(table(['dropped', 'heads', 'loss', 'change'], [['none', 0, whole.loss.toFixed(4), ''], ...rows]));
}

function printFewer({ text, certainty, train }: FewerHeads): void {
  console.log(`\n${text} ${certainty}`);
  if (!train) return;
  const values = Object.entries(train.change).map(
    ([key, value]) => `${key}: ${Array.isArray(value) ? `[${value.join(', ')}]` : value}`,
  );
  console.log(`${train.label}: in its recipe ${values.join(', ')}`);
}

/** A row a place, those first where the noise changes most: of each head its share while there is hardly any noise, and while there is nothing else. */
function printByNoise({ parts, examples, blocks, places }: NonNullable<Measured['byNoise']>): void {
  console.log(
    `\nShare of each head from hardly any noise to nothing but noise, in ${parts} parts, on ${examples} pictures`,
  );
  const percent = (share: number) => (100 * share).toFixed(0);
  const heads = places[0]?.shares[0]?.length ?? 0;
  const rows = places
    .map(({ block, site, shares }) => ({ block, site, shares, change: largestChange(shares) }))
    .sort((a, b) => b.change - a.change)
    .map(({ block, site, shares, change }) => [
      block,
      ...(blocks ? [blocks[block] ?? ''] : []),
      site,
      `${percent(change)}%`,
      ...Array.from({ length: heads }, (_, head) => shares.map((part) => percent(part[head]!)).join(' ')),
    ]);
  const columns = Array.from({ length: heads }, (_, head) => `head ${head}, %`);
  console.log(table(['layer', ...(blocks ? ['where'] : []), 'site', 'changes by', ...columns], rows));
}

/** [part][head] -> the most that a head's share lies apart between two parts */
const largestChange = (shares: number[][]): number =>
  Math.max(...shares[0]!.map((_, head) => spread(shares.map((part) => part[head]!))));

const spread = (values: number[]) => Math.max(...values) - Math.min(...values);
