import type { Adapter } from '../effilora/adapter.ts';
import type { Objective } from '../tasks/task.ts';

/** The rows that each part of the model beside the language model sees of a batch, where the adapter is in it. */
export function partsOf<Batch>(
  objective: Pick<Objective<Batch>, 'parts'>,
  adapter: Pick<Adapter, 'adapts'>,
  batch: Batch,
): Record<string, Uint8Array> {
  const all = Object.entries(objective.parts?.(batch) ?? {});
  return Object.fromEntries(all.filter(([part]) => adapter.adapts(part)));
}

/** How many real rows each part sees of a step's batches. */
export function partUnits(batches: Record<string, Uint8Array>[]): Record<string, number> {
  const units: Record<string, number> = {};
  for (const [part, rows] of batches.flatMap((parts) => Object.entries(parts)))
    units[part] = (units[part] ?? 0) + rows.reduce((sum, row) => sum + row, 0);
  return units;
}
