import type { EngineStatus } from '../../engine/types.ts';
import type { Plan } from '../../../src-preload/contract/index.ts';

/** Of what a device has free a run takes so much where nobody says: on a GPU others want little, of a machine's memory they want more. */
const SHARE = { gpu: 0.9, cpu: 0.7 };

/** A run's memory, as it was asked for or as the engine's device has it. */
export function memoryOn(
  { device, kind, memoryBytes, freeBytes }: EngineStatus,
  asked: number | undefined,
): Pick<Plan, 'budgetBytes' | 'limitBytes' | 'memoryOf'> {
  const budgetBytes = Math.round(asked ?? SHARE[kind] * (freeBytes ?? memoryBytes));
  const memoryOf = { device, kind, memoryBytes, ...(freeBytes !== undefined && { freeBytes }) };
  return { budgetBytes, limitBytes: Math.min(budgetBytes, memoryBytes), memoryOf };
}
