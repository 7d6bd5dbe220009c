import { giveBackMemory } from './give-back-memory.ts';
import type { RunContext } from './run-context.ts';
import type { StepData } from './step-data.ts';

/** How often it is said how far it is, milliseconds. */
const TOLD_MS = 10_000;

/** Ends what is made beforehand where somebody wants to pause or stop: the steps would make it. */
class Asked extends Error {}

/** Makes once, before the steps, what all of them look at through frozen parts of the model. */
export async function beforehand({ control, tell, run, progress }: RunContext, data: StepData): Promise<void> {
  const { objective, adapter } = run.step;
  if (!objective.beforehand) return;
  control.doing = 'what frozen parts make of the data to be ready';
  let said = performance.now();
  const onPiece = async (done: number, of: number) => {
    // Lets messages in.
    await new Promise((resolve) => setImmediate(resolve));
    if (control.asked) throw new Asked();
    tell({ kind: 'alive' });
    if (done < of && performance.now() - said < TOLD_MS) return;
    said = performance.now();
    tell({ kind: 'log', line: `Prepared once for all steps: ${done} of ${of} pictures and texts` });
  };
  try {
    await objective.beforehand(data.ahead(progress.step + 1, run.steps), adapter, onPiece);
  } catch (error) {
    if (!(error instanceof Asked)) throw error;
  }
  giveBackMemory();
}
