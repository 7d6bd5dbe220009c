import { droppedHeads, withoutDropped, withZeros } from '../effilora/adapter-file.ts';
import type { HeadName } from '../effilora/types.ts';
import { UserError } from '../engine/types.ts';
import type { StoredAdapter } from './stored-adapter.ts';

/**
 * The adapter without some heads, besides those it has dropped before: their B leaves the file, their names stay in its
 * description (METHOD.md, Drop).
 * @throws UserError when a name is no head of the adapter
 */
export function pruned(
  { description, tensors }: StoredAdapter,
  heads: readonly HeadName[],
  renormalize: boolean,
): StoredAdapter {
  const unknown = heads.find((name) => !(name in description.heads));
  if (unknown !== undefined)
    throw new UserError(`The adapter has no head ${unknown}; a head is named <layer>.<site>.<head>, e.g. 0.q_proj.1`);
  const dropped = new Set([...droppedHeads(description), ...heads]);
  const described = Object.entries(description.heads).map(
    ([name, head]) => [name, { ...head, dropped: dropped.has(name) }] as const,
  );
  return {
    tensors: withoutDropped(withZeros(tensors, description), description.method, dropped),
    description: { ...description, heads: Object.fromEntries(described), renormalize },
  };
}
