import type { AdapterDescription } from '../adapter-schema.ts';
import type { HeadName } from '../types.ts';

/**
 * The lowest floor(ratio * M) heads by importance, M all heads of the adapter; of equal ones those named first, which is the
 * order layer, site, head (METHOD.md, Drop).
 */
export function lowestHeads({ heads }: AdapterDescription, ratio: number): Set<HeadName> {
  const names = Object.keys(heads);
  const order = names
    .map((_, k) => k)
    .sort((a, b) => heads[names[a]!]!.importance - heads[names[b]!]!.importance || a - b);
  return new Set(order.slice(0, Math.floor(ratio * names.length)).map((k) => names[k]!));
}

/** The description with those heads dropped, besides the ones that are already. */
export function withDroppedHeads(description: AdapterDescription, drop: ReadonlySet<HeadName>): AdapterDescription {
  const heads = Object.entries(description.heads).map(([name, head]) => [
    name,
    drop.has(name) ? { ...head, dropped: true } : head,
  ]);
  return { ...description, heads: Object.fromEntries(heads) as AdapterDescription['heads'] };
}
