import { reactive } from 'vue';
import type { RunStatus, RunSummary } from '../../src-preload/contract/index.ts';
import { studio } from '../connection.ts';

type Verb = 'pause' | 'stop' | 'resume';

/** What was asked of a run and hasn't come about yet, by the run's id: shown at once, wherever the run is shown. */
const asked = reactive(new Map<string, { verb: Verb; while: RunStatus }>());

/** What was asked of a run, here or elsewhere, for as long as its state is still the one it was asked in. */
export function askedOf(run: RunSummary): Verb | undefined {
  const request = asked.get(run.id);
  return (request?.while === run.status ? request.verb : undefined) ?? run.asked ?? undefined;
}

/** A run that has got into another state since has answered. */
export function settle(runs: RunSummary[]): void {
  for (const run of runs) if (asked.has(run.id) && asked.get(run.id)!.while !== run.status) asked.delete(run.id);
}

/** Asks it of a run. @throws the studio's refusal; then nothing is asked any more */
export async function control(run: RunSummary, verb: Verb): Promise<void> {
  asked.set(run.id, { verb, while: run.status });
  try {
    await studio.runs[verb]({ id: run.id });
  } catch (refusal) {
    asked.delete(run.id);
    throw refusal;
  }
}
