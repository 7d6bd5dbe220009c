import type { CheckEvent } from '../../../src-preload/contract/index.ts';
import { UserError } from '../../engine/types.ts';
import type { Studio } from '../studio.ts';
import { examine } from './examine.ts';

/** Two at once would measure each other. */
let isChecking = false;

/** The machine as `effilora doctor` checks it, for a page. @throws UserError where another page has it checked */
export async function* checkMachine(
  { launch, queue }: Pick<Studio, 'launch' | 'queue'>,
  signal: AbortSignal | undefined,
): AsyncGenerator<CheckEvent> {
  if (isChecking) throw new UserError('This machine is being checked already, from another page: wait for its end.');
  isChecking = true;
  const isTraining = queue.trainerProcessId !== undefined;
  const beside = isTraining ? 'A run was training meanwhile: the speeds are lower than without it.' : undefined;
  try {
    yield* examine({ launch, beside, signal });
  } finally {
    isChecking = false;
  }
}
