import type { Checkpoint } from './checkpoints.ts';
import type { RunControl } from './control.ts';
import type { RunEvent } from './events.ts';
import type { Run } from './prepare.ts';
import type { Recipe } from '../recipe/recipe.ts';
import type { RunLock } from './run-lock.ts';

/** One training in its folder. */
export interface Training {
  recipe: Recipe;
  folder: string;
  lock: RunLock;
  control: RunControl;
  tell: (event: RunEvent) => void;
}

/** What the parts of a run work with. */
export interface RunContext extends Training {
  run: Run;
  /** what changes from step to step */
  progress: Progress;
}

/** How far a run is. */
export type Progress = Pick<Checkpoint, 'step' | 'tokens' | 'seconds' | 'best' | 'last'>;

/** Where a run stands that begins, or goes on from a checkpoint. */
export function progressFrom(checkpoint?: Checkpoint): Progress {
  const { step, tokens, seconds, best, last } = checkpoint ?? {
    step: 0,
    tokens: { label: 0, all: 0 },
    seconds: 0,
    best: { loss: null, step: 0, evaluationsSince: 0 },
    last: { loss: null, evalLoss: null },
  };
  return { step, tokens: { ...tokens }, seconds, best: { ...best }, last: { ...last } };
}
