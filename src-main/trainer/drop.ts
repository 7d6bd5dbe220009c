import type { Adapter } from '../effilora/adapter.ts';
import { droppedHeads, withoutDropped, withZeros } from '../effilora/adapter-file.ts';
import type { AdapterDescription } from '../effilora/adapter-schema.ts';
import { freezeOrder } from '../effilora/selection.ts';
import type { HeadName } from '../effilora/types.ts';
import { randomStream, shuffled } from '../engine/random.ts';
import { UserError } from '../engine/types.ts';
import type { Evaluation } from '../tasks/task.ts';
import type { StoredAdapter } from './stored-adapter.ts';

/** Which heads go first: the least important ones, or any (what importance is to be compared with). */
export type DropOrder = { by: 'importance' } | { by: 'random'; seed: number };

/**
 * The first floor(ratio * M) of an adapter's M heads in that order, equally important ones by layer, site and head; and those
 * it has left out already.
 * @throws UserError when the order is by importance and none was measured (a PEFT folder)
 */
export function headsToDrop(
  { heads }: Pick<AdapterDescription, 'heads'>,
  ratio: number,
  order: DropOrder = { by: 'importance' },
): Set<HeadName> {
  const names = Object.keys(heads);
  const gone = names.filter((name) => heads[name]!.dropped);
  const here = names.filter((name) => !heads[name]!.dropped);
  return new Set([...gone, ...inOrder(here, heads, order)].slice(0, Math.max(gone.length, count(ratio, names.length))));
}

/** floor(ratio * heads), where 0.3 * 10 is 3 though its product in binary is a little less. */
const count = (ratio: number, heads: number) => Math.floor(ratio * heads + 1e-9);

function inOrder(names: HeadName[], heads: AdapterDescription['heads'], order: DropOrder): HeadName[] {
  if (order.by === 'random') return shuffled(names, randomStream(order.seed, 'drop'));
  const importance = names.map((name) => heads[name]!.importance);
  if (importance.every((value) => value === 0))
    throw new UserError(
      'No importance was measured for this adapter’s heads, so the least important are not known; drop in random order',
    );
  return freezeOrder(importance, { policy: 'topk', temperature: 1, seed: 0 }, 0).map((head) => names[head]!);
}

/**
 * The adapter without some heads, besides those it has left out before: their B are gone from its tensors, their names stay
 * in its description. What the losses are without them is not known: the metrics' are of the adapter it comes from.
 * @throws UserError when a name is no head of the adapter
 */
export function withoutHeads(
  { description, tensors }: StoredAdapter,
  heads: ReadonlySet<HeadName>,
  renormalize: boolean,
): StoredAdapter {
  const unknown = [...heads].find((name) => !(name in description.heads));
  if (unknown !== undefined)
    throw new UserError(`The adapter has no head ${unknown}; a head is named <layer>.<site>.<head>, e.g. 0.q_proj.1`);
  const dropped = new Set([...droppedHeads(description), ...heads]);
  const described = Object.entries(description.heads).map(
    ([name, head]) => [name, { ...head, dropped: dropped.has(name) }] as const,
  );
  const metrics = { ...description.metrics, loss: null, evalLoss: null };
  return {
    description: { ...description, renormalize, metrics, heads: Object.fromEntries(described) },
    tensors: withoutDropped(withZeros(tensors, description), description.method, dropped),
  };
}

/** One point of a drop curve. */
export interface DropPoint extends Evaluation {
  ratio: number;
  /** heads left out */
  dropped: number;
}

export interface DropCurveOptions {
  order?: DropOrder;
  /** the softmax runs over the heads that stay (docs/method.md, Drop) */
  renormalize?: boolean;
  /** called after each ratio */
  onPoint?: (point: DropPoint) => void;
}

/**
 * The loss with a share of the heads left out, ratio by ratio (the paper's "performance of different drop ratios"), as `evaluate`
 * measures the adapter. Leaves it as it was opened.
 */
export async function dropCurve(
  evaluate: () => Promise<Evaluation>,
  adapter: Adapter,
  description: AdapterDescription,
  ratios: number[],
  { order, renormalize = false, onPoint }: DropCurveOptions = {},
): Promise<DropPoint[]> {
  const points: DropPoint[] = [];
  try {
    for (const ratio of ratios) {
      const heads = headsToDrop(description, ratio, order);
      adapter.drop({ heads, renormalize });
      const point = { ratio, dropped: heads.size, ...(await evaluate()) };
      points.push(point);
      onPoint?.(point);
    }
  } finally {
    adapter.drop({ heads: droppedHeads(description), renormalize: description.renormalize });
  }
  return points;
}
